//! An eye's maps in, biomarkers and vessels out.

use numpy::{IntoPyArray, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use vascx::biomarkers::{
    Analysis, BifurcationRow, Bounds, Eye, FeatureSet, FieldOfView, Layer, LayerName, Line, Naming,
    Point, Reason, SegmentRow,
};
use vascx::inference::Cancel;

use crate::errors::VascxError;
use crate::threads::interruptible;

/// Maps of one eye `[S, S]` on its crop.
#[pyclass(frozen, module = "vascx_rs._native")]
pub(crate) struct Maps {
    side: usize,
    arteries_veins: Vec<u8>,
    vessels: Option<Vec<u8>>,
    disc: Option<Vec<u8>>,
    rgb: Option<Vec<u8>>,
    fovea: Option<Point>,
    field_of_view: FieldOfView,
    mm_per_pixel: Option<f64>,
}

/// Name, display name, description and unit of each value of a set.
type Described = (String, String, String, &'static str);

/// The values of a set and why those that are missing are.
type Measured = (Vec<Option<f64>>, Vec<Option<String>>);

#[pyfunction]
pub(crate) fn feature_sets() -> Vec<&'static str> {
    FeatureSet::ALL.into_iter().map(FeatureSet::name).collect()
}

#[pyfunction]
pub(crate) fn variables(set: &str, canonical: bool) -> PyResult<Vec<Described>> {
    let naming = if canonical {
        Naming::Canonical
    } else {
        Naming::Resolved
    };
    let variables = feature_set(set)?.variables(naming).into_iter();
    Ok(variables
        .map(|of| (of.name, of.display_name, of.description, of.unit))
        .collect())
}

#[pymethods]
impl Maps {
    #[new]
    fn new(
        arteries_veins: PyReadonlyArray2<'_, u8>,
        vessels: Option<PyReadonlyArray2<'_, u8>>,
        disc: Option<PyReadonlyArray2<'_, u8>>,
        rgb: Option<PyReadonlyArray3<'_, u8>>,
        fovea: Option<(f64, f64)>,
        bounds: Option<&Bound<'_, PyDict>>,
        mm_per_pixel: Option<f64>,
    ) -> PyResult<Self> {
        let map = |map: PyReadonlyArray2<'_, u8>| map.as_array().iter().copied().collect();
        let shape = arteries_veins.as_array().dim();
        if shape.0 != shape.1 {
            return Err(PyValueError::new_err(format!(
                "maps are squares [S, S] of the crop, not {} × {}",
                shape.0, shape.1
            )));
        }
        let side = shape.0;
        let field_of_view = match bounds {
            Some(bounds) => field_of_view(bounds, side)?,
            None => FieldOfView::circle(side),
        };
        let maps = Self {
            side,
            arteries_veins: map(arteries_veins),
            vessels: vessels.map(map),
            disc: disc.map(map),
            rgb: rgb.map(|rgb| rgb.as_array().iter().copied().collect()),
            fovea: fovea.map(|(x, y)| Point { y, x }),
            field_of_view,
            mm_per_pixel,
        };
        maps.with(FeatureSet::FullV3, |_| Ok(()))?;
        Ok(maps)
    }

    /// The values of a set, in the order of [`variables`].
    fn measure(slf: &Bound<'_, Self>, set: &str) -> PyResult<Measured> {
        let set = feature_set(set)?;
        Self::detached(slf, set, move |analysis| {
            let values = analysis.measure(set).into_iter();
            Ok(values
                .map(|measured| match measured.value {
                    Ok(value) => (Some(value), None),
                    Err(reason) => (None, Some(reason.to_string())),
                })
                .unzip())
        })
    }

    /// The disc's centre and radius and the fovea, by the definitions of a set.
    fn landmarks<'py>(slf: &Bound<'py, Self>, set: &str) -> PyResult<Bound<'py, PyDict>> {
        let found = Self::detached(slf, feature_set(set)?, |analysis| {
            let landmarks = analysis.landmarks().map_err(missing)?;
            let disc = &landmarks.disc;
            let fovea = landmarks.fovea.as_ref().ok();
            Ok((
                (disc.center.x, disc.center.y, disc.radius),
                fovea.map(|fovea| (fovea.position.x, fovea.position.y, fovea.distance)),
                fovea.map(|fovea| fovea.mm_per_pixel),
            ))
        })?;
        let dict = PyDict::new(slf.py());
        let ((x, y, radius), fovea, scale) = found;
        dict.set_item("disc_center", (x, y))?;
        dict.set_item("disc_radius", radius)?;
        dict.set_item("fovea", fovea.map(|(x, y, _)| (x, y)))?;
        dict.set_item(
            "disc_fovea_distance",
            fovea.map(|(_, _, distance)| distance),
        )?;
        dict.set_item("mm_per_pixel", scale)?;
        Ok(dict)
    }

    /// Masks of a layer: as given, with holes filled, and its skeleton.
    fn masks<'py>(slf: &Bound<'py, Self>, set: &str, layer: &str) -> PyResult<Bound<'py, PyDict>> {
        let name = layer_name(layer)?;
        let masks = Self::detached(slf, feature_set(set)?, move |analysis| {
            let layer = analysis.masks(name).map_err(missing)?;
            let masks = [
                ("mask", Layer::mask(layer)),
                ("filled", layer.filled()),
                ("skeleton", layer.skeleton()),
            ];
            Ok(masks.map(|(name, mask)| (name, mask.pixels().to_vec())))
        })?;
        let side = slf.get().side;
        let dict = PyDict::new(slf.py());
        for (name, mask) in masks {
            let mask = mask.into_pyarray(slf.py()).reshape([side, side])?;
            dict.set_item(name, mask.call_method1("view", ("bool",))?)?;
        }
        Ok(dict)
    }

    /// The segments of a layer, columns by name.
    fn segments<'py>(
        slf: &Bound<'py, Self>,
        set: &str,
        layer: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let name = layer_name(layer)?;
        let rows = Self::detached(slf, feature_set(set)?, move |analysis| {
            analysis.segment_table(name).map_err(missing)
        })?;
        let dict = PyDict::new(slf.py());
        let numbers: [Column<SegmentRow, f64>; 13] = [
            ("start_x", |row| row.start.x),
            ("start_y", |row| row.start.y),
            ("end_x", |row| row.end.x),
            ("end_y", |row| row.end.y),
            ("centre_x", |row| row.center.x),
            ("centre_y", |row| row.center.y),
            ("length_px", |row| row.length),
            ("chord_px", |row| row.chord),
            ("tortuosity", |row| row.distance_tortuosity),
            ("mean_curvature_per_px", |row| row.mean_curvature),
            ("median_diameter_px", |row| row.median_diameter),
            ("mean_diameter_px", |row| row.mean_diameter),
            ("diameter_deviation_px", |row| row.diameter_deviation),
        ];
        let counts: [Column<SegmentRow, usize>; 4] = [
            ("segment", |row| row.segment),
            ("tree", |row| row.tree),
            ("order", |row| row.order),
            ("diameters", |row| row.diameters),
        ];
        set_columns(&dict, &rows, &counts, &numbers)?;
        let loops: Vec<bool> = rows.iter().map(|row| row.closes_loop).collect();
        dict.set_item("closes_loop", loops)?;
        Ok(dict)
    }

    /// The bifurcations of a layer, columns by name.
    fn bifurcations<'py>(
        slf: &Bound<'py, Self>,
        set: &str,
        layer: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let name = layer_name(layer)?;
        let rows = Self::detached(slf, feature_set(set)?, move |analysis| {
            analysis.bifurcation_table(name).map_err(missing)
        })?;
        let dict = PyDict::new(slf.py());
        let numbers: [Column<BifurcationRow, f64>; 6] = [
            ("x", |row| row.position.x),
            ("y", |row| row.position.y),
            ("parent_diameter_px", |row| row.parent_diameter),
            ("angle_deg", |row| row.degrees),
            ("branching_coefficient", |row| row.branching_coefficient),
            ("branching_exponent", |row| row.branching_exponent),
        ];
        let counts: [Column<BifurcationRow, usize>; 2] = [
            ("tree", |row| row.tree),
            ("parent_segment", |row| row.parent),
        ];
        set_columns(&dict, &rows, &counts, &numbers)?;
        let children: Vec<Vec<usize>> = rows.iter().map(|row| row.children.clone()).collect();
        dict.set_item("child_segments", children)?;
        let diameters: Vec<Vec<f64>> = rows.into_iter().map(|row| row.child_diameters).collect();
        dict.set_item("child_diameters_px", diameters)?;
        Ok(dict)
    }
}

impl Maps {
    /// Something about the eye, without Python's lock.
    fn detached<T: Send + 'static>(
        slf: &Bound<'_, Self>,
        set: FeatureSet,
        about: impl FnOnce(&Analysis) -> PyResult<T> + Send + 'static,
    ) -> PyResult<T> {
        let maps = slf.clone().unbind();
        interruptible(slf.py(), &Cancel::default(), move || {
            maps.get().with(set, about)
        })
    }

    fn with<T>(
        &self,
        set: FeatureSet,
        about: impl FnOnce(&Analysis) -> PyResult<T>,
    ) -> PyResult<T> {
        let eye = Eye {
            side: self.side,
            arteries_veins: &self.arteries_veins,
            vessels: self.vessels.as_deref(),
            disc: self.disc.as_deref(),
            rgb: self.rgb.as_deref(),
            fovea: self.fovea,
            field_of_view: self.field_of_view,
            mm_per_pixel: self.mm_per_pixel,
        };
        let analysis = Analysis::new(&eye, set.rules());
        about(&analysis.map_err(|error| PyValueError::new_err(error.to_string()))?)
    }
}

type Column<R, T> = (&'static str, fn(&R) -> T);

fn set_columns<R>(
    dict: &Bound<'_, PyDict>,
    rows: &[R],
    counts: &[Column<R, usize>],
    numbers: &[Column<R, f64>],
) -> PyResult<()> {
    for (name, value) in counts {
        let column: Vec<i64> = rows.iter().map(|row| value(row) as i64).collect();
        dict.set_item(name, column.into_pyarray(dict.py()))?;
    }
    for (name, value) in numbers {
        let column: Vec<f64> = rows.iter().map(value).collect();
        dict.set_item(name, column.into_pyarray(dict.py()))?;
    }
    Ok(())
}

/// The visible retina on a crop of this side, by the bounds that preprocessing gives.
fn field_of_view(bounds: &Bound<'_, PyDict>, side: usize) -> PyResult<FieldOfView> {
    let needed = |name: &str| {
        let value = bounds.get_item(name)?;
        value.ok_or_else(|| PyValueError::new_err(format!("the bounds have no {name:?}")))
    };
    let (height, width): (usize, usize) = needed("hw")?.extract()?;
    let (x, y): (f64, f64) = needed("center")?.extract()?;
    let lines = bounds.get_item("lines")?;
    let line = |name: &str| -> PyResult<Option<Line>> {
        let Some(lines) = &lines else { return Ok(None) };
        let found = lines.cast::<PyDict>()?.get_item(name)?;
        let ends = found
            .map(|line| line.extract::<[[f64; 2]; 2]>())
            .transpose()?;
        Ok(ends.map(|ends| ends.map(|[x, y]| Point { y, x })))
    };
    let bounds = Bounds {
        size: (height, width),
        center: Point { y, x },
        radius: needed("radius")?.extract()?,
        top: line("top")?,
        bottom: line("bottom")?,
        left: line("left")?,
        right: line("right")?,
    };
    Ok(bounds.in_crop(side))
}

fn missing(reason: Reason) -> PyErr {
    VascxError::new_err(reason.to_string())
}

fn feature_set(name: &str) -> PyResult<FeatureSet> {
    let parsed = name.parse::<FeatureSet>();
    parsed.map_err(|error| PyValueError::new_err(error.to_string()))
}

fn layer_name(name: &str) -> PyResult<LayerName> {
    let layers = [LayerName::Arteries, LayerName::Veins, LayerName::Vessels];
    let found = layers.into_iter().find(|layer| layer.name() == name);
    found.ok_or_else(|| {
        PyValueError::new_err(format!(
            "a layer is arteries, veins or vessels, not {name:?}"
        ))
    })
}
