//! The configuration a release carries in `extra/config.yaml`, which is JSON as Python writes it.

mod section;

use serde_json::Value;
use vascx_format::Blend;

use crate::error::{Error, Result};
use section::{
    AXES, BLEND, CLASS, COUNT, FLAG, NUMBER, SIDES, Section, TEXT, count_value, names_value,
    text_value, without_special_numbers,
};

/// The release's configuration; every key is optional, and `null` is the same as its absence.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReleaseConfig {
    pub(crate) name: Option<String>,
    /// Ours: what whoever uses the answers must know.
    pub(crate) notice: Option<String>,
    pub(crate) inference: InferenceConfig,
    pub(crate) lightningmodule: LightningConfig,
    pub(crate) datamodule: DataConfig,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InferenceConfig {
    pub(crate) tta: Option<bool>,
    /// Axes of `[N, C, H, W]`; negative ones count from the end.
    pub(crate) tta_flips: Option<Vec<Vec<i64>>>,
    pub(crate) tracing_input_size: Option<[usize; 2]>,
    pub(crate) overlap: Option<f64>,
    pub(crate) blend: Option<Blend>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) tile_batch_size: Option<usize>,
    pub(crate) gaussian_sigma_scale: Option<f64>,
    pub(crate) ensemble_class: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LightningConfig {
    pub(crate) n_class: Option<usize>,
    pub(crate) context_size: Option<usize>,
    pub(crate) output_size: Option<usize>,
    pub(crate) class_names: Option<Vec<String>>,
    pub(crate) keypoint_names: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DataConfig {
    pub(crate) normalize_keypoints: Option<bool>,
    pub(crate) test_transform: TransformConfig,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TransformConfig {
    pub(crate) class: TransformClass,
    pub(crate) square_size: Option<usize>,
    pub(crate) resize: Option<[usize; 2]>,
    pub(crate) size: Option<usize>,
    pub(crate) pad: Option<[usize; 2]>,
    pub(crate) contrast_enhance: Option<bool>,
    pub(crate) normalize: Normalize,
}

/// What prepares photographs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TransformClass {
    #[default]
    Fundus,
    Basic,
}

/// What grey levels become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Normalize {
    #[default]
    ImageNet,
    Diffusion,
    ZeroOne,
    Nothing,
}

impl ReleaseConfig {
    /// Parses the JSON text. Also returns what the user should know of it, such as keys that play
    /// no part: a misspelt key must not pass in silence.
    pub(crate) fn parse(text: &str) -> Result<(Self, Vec<String>)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value: Value = serde_json::from_str(&without_special_numbers(text))
            .map_err(|error| Error::Config(error.to_string()))?;
        let root = Section::of("", Some(&value))?;
        let inference = root.section("inference")?;
        let lightning = root.section("lightningmodule")?;
        let data = root.section("datamodule")?;
        let transform = data.section("test_transform")?;
        let config = Self {
            name: root.lenient("name", text_value),
            notice: root.lenient("notice", text_value),
            inference: InferenceConfig {
                tta: inference.get("tta", FLAG)?,
                tta_flips: inference.get("tta_flips", AXES)?,
                tracing_input_size: inference.get("tracing_input_size", SIDES)?,
                overlap: inference.get("overlap", NUMBER)?,
                blend: inference.get("blend", BLEND)?,
                batch_size: inference.get("batch_size", COUNT)?,
                tile_batch_size: inference.get("tile_batch_size", COUNT)?,
                gaussian_sigma_scale: inference.get("gaussian_sigma_scale", NUMBER)?,
                ensemble_class: inference.get("ensemble_class", TEXT)?,
            },
            lightningmodule: LightningConfig {
                n_class: lightning.lenient("n_class", count_value),
                context_size: lightning.get("context_size", COUNT)?,
                output_size: lightning.get("output_size", COUNT)?,
                class_names: lightning.lenient("class_names", names_value),
                keypoint_names: lightning.lenient("keypoint_names", names_value),
            },
            datamodule: DataConfig {
                normalize_keypoints: data.get("normalize_keypoints", FLAG)?,
                test_transform: TransformConfig {
                    class: transform.get("class", CLASS)?.unwrap_or_default(),
                    square_size: transform.get("square_size", COUNT)?,
                    resize: transform.get("resize", SIDES)?,
                    size: transform.get("size", COUNT)?,
                    pad: transform.get("pad", SIDES)?,
                    contrast_enhance: transform.get("contrast_enhance", FLAG)?,
                    normalize: transform.normalize()?,
                },
            },
        };
        let unknown: Vec<String> = [&root, &inference, &transform]
            .into_iter()
            .flat_map(Section::unknown)
            .collect();
        let mut notes = Vec::new();
        if !unknown.is_empty() {
            notes.push(format!(
                "configuration keys that play no part here: {}",
                unknown.join(", ")
            ));
        }
        Ok((config, notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ReleaseConfig {
        ReleaseConfig::parse(text).unwrap().0
    }

    fn refusal(text: &str) -> String {
        ReleaseConfig::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn missing_keys_are_fine_and_unknown_ones_are_reported() {
        let text = r#"{"inference": {"overlap": 0.25, "tracing_input_size": 256, "ovrlap": 1},
                       "datamodule": {"test_transform": {"square_size": 768}, "x": 1}, "seed": 1}"#;
        let (config, notes) = ReleaseConfig::parse(text).unwrap();
        assert_eq!(config.inference.overlap, Some(0.25));
        assert_eq!(config.inference.tracing_input_size, Some([256, 256]));
        assert_eq!(config.datamodule.test_transform.square_size, Some(768));
        assert_eq!(
            notes,
            ["configuration keys that play no part here: seed, inference.ovrlap"]
        );
        assert_eq!(parse("{}"), ReleaseConfig::default());
    }

    #[test]
    fn whatever_python_writes_for_nothing_is_nothing() {
        for text in [
            "null",
            r#"{"inference": null, "lightningmodule": null, "datamodule": null, "name": null}"#,
            r#"{"datamodule": {"test_transform": null, "normalize_keypoints": null}}"#,
            r#"{"inference": {"tta": null, "overlap": NaN, "tracing_input_size": null}}"#,
            "\u{feff}{\"lightningmodule\": {\"context_size\": null, \"lr\": -Infinity}}",
        ] {
            assert_eq!(parse(text), ReleaseConfig::default(), "{text}");
        }
        let text = r#"{"name": "NaN \" Infinity", "inference": {"overlap": Infinity}}"#;
        assert_eq!(parse(text).name.as_deref(), Some("NaN \" Infinity"));
    }

    #[test]
    fn sizes_come_in_four_forms() {
        for size in ["64", "64.0", "[64, 64.0]", r#"{"height": 64, "width": 64}"#] {
            let text = format!(r#"{{"inference": {{"tracing_input_size": {size}}}}}"#);
            let sides = parse(&text).inference.tracing_input_size;
            assert_eq!(sides, Some([64, 64]), "{size}");
        }
    }

    #[test]
    fn normalisation_has_names() {
        for (value, expected) in [
            ("\"imagenet\"", Normalize::ImageNet),
            ("true", Normalize::ImageNet),
            ("\"diffusion\"", Normalize::Diffusion),
            ("\"zero-one\"", Normalize::ZeroOne),
            ("null", Normalize::Nothing),
            ("false", Normalize::Nothing),
            ("\"\"", Normalize::Nothing),
        ] {
            let text =
                format!(r#"{{"datamodule": {{"test_transform": {{"normalize": {value}}}}}}}"#);
            let found = parse(&text).datamodule.test_transform.normalize;
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn refusals_name_the_key_and_what_it_may_be() {
        for (text, parts) in [
            ("name: x\n", ["config.yaml", "line 1"]),
            (r#"{"inference": 3}"#, ["`inference`", "object"]),
            (
                r#"{"datamodule": {"test_transform": {"normalize": "imagnet"}}}"#,
                ["datamodule.test_transform.normalize", "zero-one"],
            ),
            (
                r#"{"inference": {"tracing_input_size": [1, 2, 3]}}"#,
                ["inference.tracing_input_size", "height"],
            ),
            (
                r#"{"inference": {"batch_size": -1}}"#,
                ["inference.batch_size", "not negative"],
            ),
            (
                r#"{"datamodule": {"test_transform": {"class": "OctTransform"}}}"#,
                ["test_transform.class", "BasicTestTransform"],
            ),
        ] {
            let message = refusal(text);
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
        }
    }
}
