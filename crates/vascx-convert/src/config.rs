//! The configuration a release carries in `extra/config.yaml`, which is JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// The release's configuration; every key is optional.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ReleaseConfig {
    pub(crate) name: Option<String>,
    pub(crate) inference: InferenceConfig,
    pub(crate) lightningmodule: LightningConfig,
    pub(crate) datamodule: DataConfig,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct InferenceConfig {
    pub(crate) tta: Option<bool>,
    pub(crate) tta_flips: Option<Vec<Vec<usize>>>,
    pub(crate) tracing_input_size: Option<Side>,
    pub(crate) overlap: Option<f64>,
    pub(crate) blend: Option<Blend>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) ensemble_class: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct LightningConfig {
    pub(crate) n_class: Option<usize>,
    pub(crate) class_names: Option<Vec<String>>,
    pub(crate) keypoint_names: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct DataConfig {
    pub(crate) test_transform: TransformConfig,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct TransformConfig {
    pub(crate) square_size: Option<usize>,
    pub(crate) resize: Option<Side>,
    pub(crate) contrast_enhance: Option<bool>,
    pub(crate) normalize: Option<bool>,
}

/// How overlapping windows are weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blend {
    /// More weight to the middle of a window, less to its edge.
    #[default]
    Gaussian,
    /// The same weight everywhere.
    Constant,
}

/// A size given as one number or as `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Side {
    Square(usize),
    Rectangle([usize; 2]),
}

impl Side {
    pub(crate) fn height_width(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Rectangle(sides) => sides,
        }
    }
}

impl ReleaseConfig {
    /// Parses the JSON text. Also returns the keys of the sections we act on that we do not know:
    /// a misspelt key must not pass in silence.
    pub(crate) fn parse(text: &str) -> Result<(Self, Vec<String>)> {
        let invalid = |error: serde_json::Error| Error::Config(error.to_string());
        let value: Value = serde_json::from_str(text).map_err(invalid)?;
        let unknown = [
            (
                "/inference",
                &[
                    "tta",
                    "tta_flips",
                    "tracing_input_size",
                    "overlap",
                    "blend",
                    "batch_size",
                    "ensemble_class",
                ][..],
            ),
            (
                "/datamodule/test_transform",
                &["square_size", "resize", "contrast_enhance", "normalize"][..],
            ),
        ]
        .into_iter()
        .filter_map(|(section, known)| Some((section, known, value.pointer(section)?.as_object()?)))
        .flat_map(|(section, known, object)| {
            object
                .keys()
                .filter(move |key| !known.contains(&key.as_str()))
                .map(move |key| format!("{}.{key}", section[1..].replace('/', ".")))
        })
        .collect();
        let config: Self = serde_json::from_value(value).map_err(invalid)?;
        Ok((config, unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_keys_are_fine_and_unknown_ones_are_reported() {
        let text = r#"{"inference": {"overlap": 0.25, "tracing_input_size": 256, "ovrlap": 1},
                       "datamodule": {"test_transform": {"square_size": 768}, "x": 1}}"#;
        let (config, unknown) = ReleaseConfig::parse(text).unwrap();
        assert_eq!(config.inference.overlap, Some(0.25));
        assert_eq!(
            config.inference.tracing_input_size.unwrap().height_width(),
            [256, 256]
        );
        assert_eq!(config.datamodule.test_transform.square_size, Some(768));
        assert_eq!(unknown, ["inference.ovrlap"]);
        assert_eq!(
            ReleaseConfig::parse("{}").unwrap().0,
            ReleaseConfig::default()
        );
    }

    #[test]
    fn text_that_is_not_json_is_an_error() {
        let error = ReleaseConfig::parse("name: x\n").unwrap_err().to_string();
        assert!(error.contains("config.yaml"), "{error}");
    }
}
