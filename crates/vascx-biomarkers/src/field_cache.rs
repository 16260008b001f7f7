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

/// What has been computed of fields.
#[derive(Default)]
pub(crate) struct Fields {
    areas: RefCell<Vec<(Place, Result<Rc<Area>, Reason>)>>,
    parts: RefCell<Vec<(PartsKey, Rc<Vec<Rc<Segment>>>)>>,
    zones: RefCell<Vec<((Zone, LayerName), Rc<ZoneParts>)>>,
}

impl Analysis<'_> {
    /// A field: its pixels, and the share of it that is visible.
    ///
    /// # Errors
    /// Why it cannot be placed.
    pub fn area(&self, grid: Grid, field: Field) -> Result<Rc<Area>, Reason> {
        let place = (grid, field);
        let known = self
            .fields
            .areas
            .borrow()
            .iter()
            .find(|(key, _)| *key == place)
            .cloned();
        if let Some((_, area)) = known {
            return area;
        }
        // The reference places no grid at all where the fovea is no number.
        let unplaced = self.eye.fovea.is_some_and(|fovea| !fovea.is_finite());
        if self.rules == Rules::Reference && unplaced {
            return Err(Reason::NoFovea);
        }
        let area = self
            .landmarks()
            .and_then(|landmarks| Area::of(grid, field, landmarks, self.region()))
            .map(Rc::new);
        self.fields.areas.borrow_mut().push((place, area.clone()));
        area
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
        let wanted = (layer, vessels, place);
        let known = self
            .fields
            .parts
            .borrow()
            .iter()
            .find(|(key, _)| *key == wanted)
            .cloned();
        if let Some((_, parts)) = known {
            return Ok(parts);
        }
        let parts = Rc::new(
            all.iter()
                .flat_map(|segment| segment.within(|point| area.holds(point)))
                .collect(),
        );
        self.fields
            .parts
            .borrow_mut()
            .push((wanted, Rc::clone(&parts)));
        Ok(parts)
    }
    /// Stretches of a layer's segments in a zone around the disc.
    pub(crate) fn zone_parts(
        &self,
        zone: Zone,
        layer: LayerName,
        inside: impl Fn(Point) -> bool,
    ) -> Result<Rc<ZoneParts>, Reason> {
        let wanted = (zone, layer);
        let known = self
            .fields
            .zones
            .borrow()
            .iter()
            .find(|(key, _)| *key == wanted)
            .cloned();
        if let Some((_, parts)) = known {
            return Ok(parts);
        }
        let segments = self.layer(layer)?.segments().iter().enumerate();
        let parts = segments.flat_map(|(number, segment)| {
            segment
                .within(&inside)
                .into_iter()
                .map(move |part| (number, part))
        });
        let parts = Rc::new(parts.collect());
        self.fields
            .zones
            .borrow_mut()
            .push((wanted, Rc::clone(&parts)));
        Ok(parts)
    }
}
