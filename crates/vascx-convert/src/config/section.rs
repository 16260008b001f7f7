//! Reading the objects of a configuration key by key, so that every message names its key.

use std::borrow::Cow;

use serde_json::{Map, Value};
use vascx_format::Blend;

use super::{Normalize, TransformClass};
use crate::error::{Error, Result};

/// Keys that mean something here, of the sections whose other keys are reported. The other sections
/// hold whatever training needed.
const KNOWN: [(&str, &str); 3] = [
    (
        "",
        "name notice inference lightningmodule datamodule huggingface",
    ),
    (
        "inference",
        "ensemble_class tta tta_flips tracing_input_size overlap blend batch_size tile_batch_size \
         gaussian_sigma_scale",
    ),
    (
        "datamodule.test_transform",
        "class square_size resize size pad preprocess contrast_enhance normalize",
    ),
];

/// An object of the configuration.
pub(super) struct Section<'a> {
    path: String,
    values: Option<&'a Map<String, Value>>,
}

/// What a value must be, in words, and how it is read.
pub(super) type Reader<T> = (&'static str, fn(&Value) -> Option<T>);

pub(super) const FLAG: Reader<bool> = ("true or false", flag_value);
pub(super) const TEXT: Reader<String> = ("a text", text_value);
pub(super) const COUNT: Reader<usize> = ("a whole number that is not negative", count_value);
pub(super) const NUMBER: Reader<f64> = ("a number", Value::as_f64);
pub(super) const SIDES: Reader<[usize; 2]> = (
    "a number of pixels, [height, width] or {\"height\": …, \"width\": …}",
    sides_value,
);
pub(super) const AXES: Reader<Vec<Vec<i64>>> = ("a list of lists of axes", axes_value);
pub(super) const BLEND: Reader<Blend> = ("\"gaussian\" or \"constant\"", |value| {
    serde_json::from_value(value.clone()).ok()
});
pub(super) const CLASS: Reader<TransformClass> = (
    "\"FundusTestTransform\" or \"BasicTestTransform\"; another one may be replaced with --config",
    |value| match value.as_str()? {
        "FundusTestTransform" => Some(TransformClass::Fundus),
        "BasicTestTransform" => Some(TransformClass::Basic),
        _ => None,
    },
);

impl<'a> Section<'a> {
    pub(super) fn of(path: &str, value: Option<&'a Value>) -> Result<Self> {
        let path = path.to_owned();
        let values = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(values)) => Some(values),
            Some(_) if path.is_empty() => return Err(Error::Config("it is no object".into())),
            Some(_) => return Err(Error::Config(format!("`{path}` is no object"))),
        };
        Ok(Self { path, values })
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key that is there and not `null`.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.values?.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn section(&self, key: &str) -> Result<Self> {
        Self::of(&self.key(key), self.value(key))
    }

    pub(super) fn get<T>(&self, key: &str, (expected, read): Reader<T>) -> Result<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| {
            let key = self.key(key);
            Error::Config(format!("`{key}` is {value}, expected {expected}"))
        })
    }

    /// What only describes: something else in its place is as good as nothing.
    pub(super) fn lenient<T>(&self, key: &str, read: fn(&Value) -> Option<T>) -> Option<T> {
        self.value(key).and_then(read)
    }

    /// The one key whose `null` says something.
    pub(super) fn normalize(&self) -> Result<Normalize> {
        let Some(value) = self.values.and_then(|values| values.get("normalize")) else {
            return Ok(Normalize::default());
        };
        match value {
            Value::Null | Value::Bool(false) => Ok(Normalize::Nothing),
            Value::Bool(true) => Ok(Normalize::ImageNet),
            Value::String(name) => match name.as_str() {
                "" => Ok(Normalize::Nothing),
                "imagenet" => Ok(Normalize::ImageNet),
                "diffusion" => Ok(Normalize::Diffusion),
                "zero-one" => Ok(Normalize::ZeroOne),
                _ => Err(value),
            },
            _ => Err(value),
        }
        .map_err(|value| {
            let key = self.key("normalize");
            Error::Config(format!(
                "`{key}` is {value}, expected \"imagenet\", \"diffusion\", \"zero-one\" or null"
            ))
        })
    }

    pub(super) fn unknown(&self) -> impl Iterator<Item = String> {
        let known = KNOWN.iter().find(|(path, _)| *path == self.path);
        let known = known.map_or("", |(_, known)| known);
        let keys = self.values.into_iter().flat_map(Map::keys);
        keys.filter(|key| !known.split(' ').any(|known| known == key.as_str()))
            .map(|key| self.key(key))
    }
}

fn flag_value(value: &Value) -> Option<bool> {
    match value.as_i64() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => value.as_bool(),
    }
}

pub(super) fn text_value(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// `64` and `64.0`.
pub(super) fn count_value(value: &Value) -> Option<usize> {
    let whole = |number: f64| {
        let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        fits.then_some(number as usize)
    };
    match value.as_u64() {
        Some(number) => usize::try_from(number).ok(),
        None => value.as_f64().and_then(whole),
    }
}

fn sides_value(value: &Value) -> Option<[usize; 2]> {
    let side = |value: Option<&Value>| value.and_then(count_value);
    match value {
        Value::Array(sides) => match &sides[..] {
            [height, width] => Some([count_value(height)?, count_value(width)?]),
            _ => None,
        },
        Value::Object(sides) => Some([side(sides.get("height"))?, side(sides.get("width"))?]),
        number => count_value(number).map(|side| [side, side]),
    }
}

fn axes_value(value: &Value) -> Option<Vec<Vec<i64>>> {
    let axes = |value: &Value| value.as_array()?.iter().map(Value::as_i64).collect();
    value.as_array()?.iter().map(axes).collect()
}

pub(super) fn names_value(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(text_value).collect()
}

/// Python writes `NaN` and `Infinity`, which are no JSON; nothing that is read here may be one, so
/// that they may as well be absent.
pub(super) fn without_special_numbers(text: &str) -> Cow<'_, str> {
    const SPECIAL: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !SPECIAL.iter().any(|special| text.contains(special)) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let (mut in_text, mut escaped) = (false, false);
    while let Some(next) = rest.chars().next() {
        let special = SPECIAL.iter().find(|special| rest.starts_with(**special));
        if let (Some(special), false) = (special, in_text) {
            plain.push_str("null");
            rest = &rest[special.len()..];
            continue;
        }
        if next == '"' && !escaped {
            in_text = !in_text;
        }
        escaped = in_text && next == '\\' && !escaped;
        plain.push(next);
        rest = &rest[next.len_utf8()..];
    }
    Cow::Owned(plain)
}
