//! Other names for the same layers: timm's for torchvision's networks, and last layers that were
//! put in a new place for another number of answers.

use std::collections::{BTreeMap, BTreeSet};

use super::shapes::ShapeMap;

/// Where the last layer is put by whoever replaces it, dropout before it or not.
const HEADS: [&str; 13] = [
    "fc",
    "fc.0",
    "fc.1",
    "fc.2",
    "classifier",
    "classifier.0",
    "classifier.1",
    "classifier.2.0",
    "classifier.2.1",
    "classifier.3.0",
    "classifier.3.1",
    "head",
    "head.fc",
];

/// A state dict under a family's own names.
pub(super) struct Dialect {
    pub(super) shapes: ShapeMap,
    /// Name of the family → name in the file.
    sources: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
    /// Whether names are timm's, whose norms add another number to variances than torchvision's.
    pub(super) is_timm: bool,
}

impl Dialect {
    /// Reads names as those of a family whose last layer has the name `head`, if it has one.
    pub(super) fn new(shapes: &ShapeMap, head: Option<&str>) -> Self {
        let mut dialect = Self {
            shapes: ShapeMap::new(),
            sources: BTreeMap::new(),
            notes: Vec::new(),
            is_timm: false,
        };
        let timm = head.and_then(|_| timm(shapes));
        dialect.is_timm = timm.is_some();
        for (name, shape) in shapes {
            let renamed = timm.as_ref().and_then(|names| names.get(name).cloned());
            dialect.insert(name, renamed.unwrap_or_else(|| name.clone()), shape.clone());
        }
        if dialect.is_timm {
            dialect.notes.push(
                "names are timm's: one of its networks without `tf_` assumed, which pad evenly and \
                 add 1e-5 to variances"
                    .into(),
            );
        }
        if let Some(head) = head {
            dialect.place_head(head);
        }
        dialect
    }

    fn insert(&mut self, source: &str, mut name: String, mut shape: Vec<usize>) {
        // timm's hidden layer is a convolution of one pixel, its scale of a layer has one axis.
        if let ([_, _, 1, 1], "classifier.0.weight") = (&shape[..], name.as_str()) {
            shape.truncate(2);
        }
        if shape.len() == 1 && name.ends_with(".layer_scale") {
            shape.extend([1, 1]);
        }
        // No tensor takes the place of another; one too many has no place.
        while self.shapes.contains_key(&name) {
            name.push('\'');
        }
        self.sources.insert(name.clone(), source.to_owned());
        self.shapes.insert(name, shape);
    }

    /// Moves the only linear layer that stands where heads do to where the family has it.
    fn place_head(&mut self, head: &str) {
        let weight = format!("{head}.weight");
        if matches!(self.shapes.get(&weight).map(Vec::as_slice), Some([_, _])) {
            return;
        }
        let linear = |name: &&&str| {
            let shape = self.shapes.get(&format!("{name}.weight"));
            matches!(shape.map(Vec::as_slice), Some([_, _]))
        };
        let found: Vec<&str> = HEADS.iter().filter(linear).copied().collect();
        let [found] = found[..] else { return };
        for leaf in ["weight", "bias"] {
            let old = format!("{found}.{leaf}");
            if let (Some(shape), Some(source)) =
                (self.shapes.remove(&old), self.sources.remove(&old))
            {
                self.insert(&source, format!("{head}.{leaf}"), shape);
            }
        }
        self.notes.push(format!(
            "last layer taken from `{found}`; nothing but dropout assumed before and after it"
        ));
    }

    /// The name in the file.
    pub(super) fn source(&self, name: &str) -> String {
        self.sources
            .get(name)
            .map_or(name, String::as_str)
            .to_owned()
    }
}

/// The torchvision name of each tensor, where the names are timm's.
fn timm(shapes: &ShapeMap) -> Option<BTreeMap<String, String>> {
    let names: Option<fn(&Blocks, &str) -> Option<String>> =
        if shapes.contains_key("conv_stem.weight") {
            Some(Blocks::mobile)
        } else if shapes.contains_key("stages.0.blocks.0.conv_dw.weight") {
            Some(|_, name| convnext(name))
        } else {
            None
        };
    let names = names?;
    let blocks = Blocks::new(shapes);
    let renamed = shapes.keys().filter_map(|name| {
        let (layer, leaf) = match name.rsplit_once('.') {
            Some((layer, "gamma")) => {
                return Some((name.clone(), names(&blocks, layer)? + ".layer_scale"));
            }
            parts => parts?,
        };
        Some((name.clone(), format!("{}.{leaf}", names(&blocks, layer)?)))
    });
    Some(renamed.collect())
}

/// `7` and `rest` of `7.rest`.
fn numbered(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.').unwrap_or((text, ""));
    Some((number.parse().ok()?, rest))
}

fn convnext(layer: &str) -> Option<String> {
    let fixed = match layer {
        "stem.0" => Some("features.0.0"),
        "stem.1" => Some("features.0.1"),
        "head.norm" => Some("classifier.0"),
        "head.fc" => Some("classifier.2"),
        _ => None,
    };
    if let Some(fixed) = fixed {
        return Some(fixed.to_owned());
    }
    let (stage, rest) = numbered(layer.strip_prefix("stages.")?)?;
    let stage = stage.checked_mul(2)?;
    if let Some(part) = rest.strip_prefix("downsample.") {
        return Some(format!("features.{stage}.{part}"));
    }
    let (block, rest) = numbered(rest.strip_prefix("blocks.")?)?;
    let place = match rest {
        "" => "",
        "conv_dw" => ".block.0",
        "norm" => ".block.2",
        "mlp.fc1" => ".block.3",
        "mlp.fc2" => ".block.5",
        _ => return None,
    };
    Some(format!("features.{}.{block}{place}", stage.checked_add(1)?))
}

/// The blocks of one of timm's mobile networks, which torchvision numbers in other ways.
struct Blocks {
    /// Stage and block of each, in order.
    all: Vec<(usize, usize)>,
    /// Those that expand first, and those that squeeze.
    expanding: BTreeSet<(usize, usize)>,
    squeezing: BTreeSet<(usize, usize)>,
    /// The single convolution behind the blocks.
    last: Option<(usize, usize)>,
    /// Whether this is a MobileNetV3, whose blocks are numbered through, and not an EfficientNet.
    numbered_through: bool,
}

impl Blocks {
    fn new(shapes: &ShapeMap) -> Self {
        let mut all = BTreeSet::new();
        let mut with = |layer: &str| -> BTreeSet<(usize, usize)> {
            let blocks = shapes.keys().filter_map(|name| {
                let (stage, rest) = numbered(name.strip_prefix("blocks.")?)?;
                let (block, rest) = numbered(rest)?;
                all.insert((stage, block));
                (rest == layer).then_some((stage, block))
            });
            blocks.collect()
        };
        let expanding = with("conv_pwl.weight");
        let squeezing = with("se.conv_reduce.weight");
        let last = with("conv.weight").into_iter().next_back();
        Self {
            all: all
                .into_iter()
                .filter(|&block| Some(block) != last)
                .collect(),
            expanding,
            squeezing,
            last,
            numbered_through: shapes.contains_key("conv_head.bias"),
        }
    }

    /// torchvision's name of a layer of EfficientNet or MobileNetV3.
    fn mobile(&self, layer: &str) -> Option<String> {
        let stages = self.all.last().map_or(0, |&(stage, _)| stage + 1);
        let fixed = match (layer, self.numbered_through) {
            ("conv_stem", _) => "features.0.0".into(),
            ("bn1", _) => "features.0.1".into(),
            ("conv_head", true) => "classifier.0".into(),
            ("classifier", true) => "classifier.3".into(),
            ("conv_head", false) => format!("features.{}.0", stages + 1),
            ("bn2", false) => format!("features.{}.1", stages + 1),
            ("classifier", false) => "classifier.1".into(),
            _ => String::new(),
        };
        if !fixed.is_empty() {
            return Some(fixed);
        }
        let (stage, rest) = numbered(layer.strip_prefix("blocks.")?)?;
        let (block, rest) = numbered(rest)?;
        let place = (stage, block);
        let index = self.all.binary_search(&place);
        if Some(place) == self.last {
            let part = match rest {
                "conv" => 0,
                "bn1" => 1,
                _ => return None,
            };
            return Some(format!("features.{}.{part}", self.all.len() + 1));
        }
        let feature = if self.numbered_through {
            format!("features.{}", index.ok()? + 1)
        } else {
            format!("features.{}.{block}", stage + 1)
        };
        let expands = usize::from(self.expanding.contains(&place));
        let last = expands + 1 + usize::from(self.squeezing.contains(&place));
        let (position, part) = match (rest, expands) {
            ("conv_pw", 1) => (0, "0"),
            ("bn1", 1) => (0, "1"),
            ("conv_dw", _) => (expands, "0"),
            ("bn1", 0) | ("bn2", 1) => (expands, "1"),
            ("se.conv_reduce", _) => (expands + 1, "fc1"),
            ("se.conv_expand", _) => (expands + 1, "fc2"),
            ("conv_pw", 0) | ("conv_pwl", _) => (last, "0"),
            ("bn2", 0) | ("bn3", _) => (last, "1"),
            _ => return None,
        };
        Some(format!("{feature}.block.{position}.{part}"))
    }
}
