//! Fields that were asked for, and the segments in them.

use std::cell::RefCell;
use std::rc::Rc;

use crate::analysis::Analysis;
use crate::geometry::Point;
use crate::grid::{Area, Field, Grid};
use crate::mask::Mask;
use crate::measure::Zone;
use crate::reason::Reason;
use crate::rules::Rules;
use crate::segment::Segment;
use crate::sets::LayerName;

/// Distance of the disc from the rim that fields need, in pixels of a crop of 1024.
const MARGIN: f64 = 25.0;

type Place = (Grid, Field);
/// Stretches of segments in a zone, with their segments' numbers.
pub(crate) type ZoneParts = Vec<(usize, Rc<Segment>)>;
type PartsKey = (LayerName, bool, Place);

/// Values by key; there are few.
type Known<K, V> = RefCell<Vec<(K, Result<V, Reason>)>>;

/// What has been computed of fields.
#[derive(Default)]
pub(crate) struct Fields {
    areas: Known<Place, Rc<Area>>,
    parts: Known<PartsKey, Rc<Vec<Rc<Segment>>>>,
    zones: Known<(Zone, LayerName), Rc<ZoneParts>>,
}

/// The value of a key, computed if it is not known yet.
fn remembered<K: PartialEq, V: Clone>(
    known: &Known<K, V>,
    key: K,
    compute: impl FnOnce() -> Result<V, Reason>,
) -> Result<V, Reason> {
    let found = known.borrow().iter().position(|(other, _)| *other == key);
    if let Some(found) = found {
        return known.borrow()[found].1.clone();
    }
    let value = compute();
    known.borrow_mut().push((key, value.clone()));
    value
}

impl Analysis<'_> {
    /// A field: its pixels, and the share of it that is visible.
    ///
    /// # Errors
    /// Why it cannot be placed.
    pub fn area(&self, grid: Grid, field: Field) -> Result<Rc<Area>, Reason> {
        // The reference places no grid at all where the fovea is no number.
        let unplaced = self.eye.fovea.is_some_and(|fovea| !fovea.is_finite());
        if self.rules == Rules::Reference && unplaced {
            return Err(Reason::NoFovea);
        }
        remembered(&self.fields.areas, (grid, field), || {
            let area = Area::of(grid, field, self.landmarks()?, self.region())?;
            Ok(Rc::new(area))
        })
    }

    /// The pixels of a field of which `needed` must be visible; of the whole retina without one.
    pub(crate) fn visible_field(
        &self,
        place: Option<Place>,
        needed: f64,
        margin: bool,
    ) -> Result<Option<Rc<Area>>, Reason> {
        let Some((grid, field)) = place else {
            return Ok(None);
        };
        let area = self.area(grid, field)?;
        let needed = grid.visible_share().unwrap_or(needed);
        if area.visible_share < needed {
            return Err(Reason::FieldNotVisible {
                share: area.visible_share,
                needed,
            });
        }
        let distance = self.landmarks()?.disc.margin;
        if margin && distance < MARGIN {
            return Err(Reason::DiscAtRim {
                margin: distance,
                needed: MARGIN,
            });
        }
        Ok(Some(area))
    }

    /// Segments, or whole vessels, of a layer in a field.
    pub(crate) fn parts(
        &self,
        layer: LayerName,
        vessels: bool,
        place: Option<Place>,
        area: Option<&Mask>,
    ) -> Result<Rc<Vec<Rc<Segment>>>, Reason> {
        let all = self.layer(layer)?;
        let all = if vessels {
            all.vessels()
        } else {
            all.segments()
        };
        let (Some(place), Some(area)) = (place, area) else {
            return Ok(Rc::new(all.to_vec()));
        };
        remembered(&self.fields.parts, (layer, vessels, place), || {
            let parts = all
                .iter()
                .flat_map(|segment| segment.within(|point| area.holds(point)));
            Ok(Rc::new(parts.collect()))
        })
    }

    /// Stretches of a layer's segments in a zone around the disc.
    pub(crate) fn zone_parts(
        &self,
        zone: Zone,
        layer: LayerName,
        inside: impl Fn(Point) -> bool,
    ) -> Result<Rc<ZoneParts>, Reason> {
        remembered(&self.fields.zones, (zone, layer), || {
            let segments = self.layer(layer)?.segments().iter().enumerate();
            let parts = segments.flat_map(|(number, segment)| {
                let parts = segment.within(&inside).into_iter();
                parts.map(move |part| (number, part))
            });
            Ok(Rc::new(parts.collect()))
        })
    }
}
