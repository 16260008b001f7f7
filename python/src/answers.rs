//! Answers as arrays by name, of which the Python classes are made.

use numpy::{IntoPyArray, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use vascx::inference::{Answer, Maps, Point};

use crate::errors::InternalError;

/// An answer, its maps computed, that waits for Python's lock.
pub(crate) enum Ready {
    Map {
        name: &'static str,
        /// Height and width.
        shape: [usize; 2],
        values: Vec<u8>,
        classes: usize,
        probabilities: Option<Maps>,
    },
    Points {
        points: Vec<Point>,
        members: Vec<Vec<Point>>,
        heatmaps: Option<Maps>,
    },
    Values {
        name: &'static str,
        mean: Vec<f32>,
        members: Vec<Vec<f32>>,
    },
}

impl Ready {
    pub(crate) fn new(answer: Answer) -> PyResult<Self> {
        Ok(match answer {
            Answer::Segmentation(found) => {
                let probabilities = found.probabilities();
                Self::map("class_map", found.class_map, found.classes, probabilities)
            }
            Answer::Overlaps(found) => {
                let probabilities = found.probabilities();
                Self::map("bits", found.bits, found.classes, probabilities)
            }
            Answer::Classification(found) => Self::Values {
                name: "probabilities",
                mean: found.probabilities,
                members: found.members,
            },
            Answer::Regression(found) => Self::Values {
                name: "values",
                mean: found.mean(),
                members: found.members,
            },
            Answer::Embedding(found) => Self::Values {
                name: "vector",
                mean: found.vector,
                members: found.members,
            },
            Answer::Keypoints(found) => Self::Points {
                points: found.points,
                members: Vec::new(),
                heatmaps: found.heatmaps,
            },
            Answer::Landmarks(found) => Self::Points {
                points: found.points,
                members: found.members,
                heatmaps: None,
            },
            _ => {
                return Err(InternalError::new_err(
                    "an answer of a task that Python does not know",
                ));
            }
        })
    }

    fn map(
        name: &'static str,
        map: vascx::image::GrayImage,
        classes: usize,
        probabilities: Option<Maps>,
    ) -> Self {
        let (width, height) = map.dimensions();
        Self::Map {
            name,
            shape: [height as usize, width as usize],
            values: map.into_raw(),
            classes,
            probabilities,
        }
    }

    /// As arrays that own the values, which are not copied.
    pub(crate) fn into_dict(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        match self {
            Self::Map {
                name,
                shape,
                values,
                classes,
                probabilities,
            } => {
                dict.set_item(name, values.into_pyarray(py).reshape(shape)?)?;
                dict.set_item("classes", classes)?;
                set_maps(&dict, "probabilities", probabilities)?;
            }
            Self::Points {
                points,
                members,
                heatmaps,
            } => {
                dict.set_item(
                    "points",
                    flat(&points).into_pyarray(py).reshape([points.len(), 2])?,
                )?;
                if !members.is_empty() {
                    let shape = [members.len(), points.len(), 2];
                    dict.set_item(
                        "members",
                        flat(&members.concat()).into_pyarray(py).reshape(shape)?,
                    )?;
                } else {
                    set_maps(&dict, "heatmaps", heatmaps)?;
                }
            }
            Self::Values {
                name,
                mean,
                members,
            } => {
                let shape = [members.len(), mean.len()];
                dict.set_item("members", members.concat().into_pyarray(py).reshape(shape)?)?;
                dict.set_item(name, mean.into_pyarray(py))?;
            }
        }
        Ok(dict)
    }
}

fn flat(points: &[Point]) -> Vec<f64> {
    points.iter().flat_map(|point| [point.x, point.y]).collect()
}

fn set_maps(dict: &Bound<'_, PyDict>, name: &str, maps: Option<Maps>) -> PyResult<()> {
    match maps {
        Some(maps) => dict.set_item(
            name,
            maps.values.into_pyarray(dict.py()).reshape(maps.shape)?,
        ),
        None => dict.set_item(name, dict.py().None()),
    }
}
