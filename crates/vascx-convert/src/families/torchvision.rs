//! torchvision's classifiers of numbered `features`: EfficientNet, MobileNetV3, ConvNeXt.

use vascx_models::{
    Architecture, ConvNeXtConfig, EfficientNetConfig, EfficientNetStage, MobileNetV3Config,
};

use super::scheme::Scheme;
use super::shapes::Shapes;
use super::{Described, Family};

pub(super) const EFFICIENTNET: Family = Family {
    name: "efficientnet",
    head: Some("classifier.1"),
    scheme: Scheme {
        layers: &[
            ("features.{}.conv", "features.{}.0"),
            ("features.{}.norm", "features.{}.1"),
            ("features.{}.{}.block.{}.conv", "features.{}.{}.block.{}.0"),
            ("features.{}.{}.block.{}.norm", "features.{}.{}.block.{}.1"),
            (
                "features.{}.{}.block.{}.fc{}",
                "features.{}.{}.block.{}.fc{}",
            ),
            ("classifier", "classifier.1"),
        ],
        dropped: &[],
    },
    describe: describe_efficientnet,
    holds: |architecture| matches!(architecture, Architecture::EfficientNet(_)),
};

pub(super) const MOBILENET_V3: Family = Family {
    name: "mobilenet_v3",
    head: Some("classifier.3"),
    scheme: Scheme {
        layers: &[
            ("features.{}.conv", "features.{}.0"),
            ("features.{}.norm", "features.{}.1"),
            ("features.{}.block.{}.conv", "features.{}.block.{}.0"),
            ("features.{}.block.{}.norm", "features.{}.block.{}.1"),
            ("features.{}.block.{}.fc{}", "features.{}.block.{}.fc{}"),
            ("hidden", "classifier.0"),
            ("classifier", "classifier.3"),
        ],
        dropped: &[],
    },
    describe: describe_mobilenet,
    holds: |architecture| matches!(architecture, Architecture::MobileNetV3(_)),
};

pub(super) const CONVNEXT: Family = Family {
    name: "convnext",
    head: Some("classifier.2"),
    scheme: Scheme {
        layers: &[
            ("features.0.conv", "features.0.0"),
            ("features.0.norm", "features.0.1"),
            ("features.{}.norm", "features.{}.0"),
            ("features.{}.conv", "features.{}.1"),
            ("features.{}.{}.depthwise", "features.{}.{}.block.0"),
            ("features.{}.{}.norm", "features.{}.{}.block.2"),
            ("features.{}.{}.expand", "features.{}.{}.block.3"),
            ("features.{}.{}.project", "features.{}.{}.block.5"),
            // Holds the layer scale.
            ("features.{}.{}", "features.{}.{}"),
            ("norm", "classifier.0"),
            ("classifier", "classifier.2"),
        ],
        dropped: &[],
    },
    describe: describe_convnext,
    holds: |architecture| matches!(architecture, Architecture::ConvNeXt(_)),
};

fn describe_efficientnet(shapes: Shapes) -> Result<Described, String> {
    let stem = shapes.conv("features.0.0")?;
    let count = shapes.count(|part| format!("features.{part}."));
    if count != EfficientNetConfig::STRIDES.len() + 2 {
        return Err(format!(
            "{count} numbered features, expected stem, seven stages and head"
        ));
    }
    let [outputs, _] = shapes.get("classifier.1.weight")?;
    let mut inputs = stem.outputs;
    let mut stages = Vec::new();
    for (stage, stride) in EfficientNetConfig::STRIDES.into_iter().enumerate() {
        let part = format!("features.{}", stage + 1);
        let block = format!("{part}.0.block");
        // Squeeze and excitation follows the depthwise convolution, the projection follows that.
        let squeeze = (1..=2)
            .find(|index| shapes.has(&format!("{block}.{index}.fc1.weight")))
            .ok_or_else(|| format!("no tensor `{block}.2.fc1.weight`"))?;
        let depthwise = shapes.conv(&format!("{block}.{}.0", squeeze - 1))?;
        let width = shapes.conv(&format!("{block}.{}.0", squeeze + 1))?.outputs;
        stages.push(EfficientNetStage {
            width,
            blocks: shapes.count(|block| format!("{part}.{block}.")),
            kernel_size: depthwise.side,
            stride,
            expansion: depthwise.outputs / inputs.max(1),
        });
        inputs = width;
    }
    let mut config = EfficientNetConfig {
        in_channels: stem.inputs,
        outputs,
        stem_width: stem.outputs,
        stages,
        head_width: shapes.conv("features.8.0")?.outputs,
        epsilon: 1e-5,
    };
    let published = (0..8).find_map(|variant| {
        let published = EfficientNetConfig::new(variant, stem.inputs, outputs).ok()?;
        (published.stages == config.stages).then_some((variant, published.epsilon))
    });
    let (name, notes) = match published {
        Some((variant, epsilon)) => {
            config.epsilon = epsilon;
            (format!("efficientnet_b{variant}"), Vec::new())
        }
        None => (
            "efficientnet".into(),
            vec!["none of B0 to B7: their strides and an epsilon of 1e-5 assumed".into()],
        ),
    };
    Ok(Described {
        name,
        architecture: Architecture::EfficientNet(config),
        notes,
    })
}

fn describe_mobilenet(shapes: Shapes) -> Result<Described, String> {
    let stem = shapes.conv("features.0.0")?;
    let [hidden_width, _] = shapes.get("classifier.0.weight")?;
    let [outputs, _] = shapes.get("classifier.3.weight")?;
    let blocks = shapes
        .count(|part| format!("features.{part}."))
        .saturating_sub(2);
    let (name, mut config) = [
        ("small", MobileNetV3Config::small(stem.inputs, outputs)),
        ("large", MobileNetV3Config::large(stem.inputs, outputs)),
    ]
    .into_iter()
    .find(|(_, config)| config.blocks.len() == blocks)
    .ok_or_else(|| format!("{blocks} blocks; the small network has 11, the large one 15"))?;
    // Strides and activations are the published ones, channels those of the state dict.
    config.stem_width = stem.outputs;
    config.hidden_width = hidden_width;
    config.head_width = shapes.conv(&format!("features.{}.0", blocks + 1))?.outputs;
    for (index, block) in config.blocks.iter_mut().enumerate() {
        let part = format!("features.{}.block", index + 1);
        let stages = shapes.count(|stage| format!("{part}.{stage}."));
        let squeeze = (0..stages).find(|stage| shapes.has(&format!("{part}.{stage}.fc1.weight")));
        block.squeezed = match squeeze {
            Some(stage) => Some(shapes.conv(&format!("{part}.{stage}.fc1"))?.outputs),
            None => None,
        };
        let depthwise = match squeeze {
            Some(stage) => stage.saturating_sub(1),
            None => stages.saturating_sub(2),
        };
        let depthwise = shapes.conv(&format!("{part}.{depthwise}.0"))?;
        block.expanded = depthwise.outputs;
        block.kernel_size = depthwise.side;
        let project = stages.saturating_sub(1);
        block.width = shapes.conv(&format!("{part}.{project}.0"))?.outputs;
    }
    Ok(Described {
        name: format!("mobilenet_v3_{name}"),
        architecture: Architecture::MobileNetV3(config),
        notes: Vec::new(),
    })
}

/// From channels of the input and outputs.
type Published = fn(usize, usize) -> ConvNeXtConfig;

const CONVNEXTS: [(&str, Published); 4] = [
    ("convnext_tiny", ConvNeXtConfig::tiny),
    ("convnext_small", ConvNeXtConfig::small),
    ("convnext_base", ConvNeXtConfig::base),
    ("convnext_large", ConvNeXtConfig::large),
];

fn describe_convnext(shapes: Shapes) -> Result<Described, String> {
    let stem = shapes.conv("features.0.0")?;
    let [outputs, _] = shapes.get("classifier.2.weight")?;
    let mut config = ConvNeXtConfig::tiny(stem.inputs, outputs);
    for stage in 0..4 {
        let part = format!("features.{}", 2 * stage + 1);
        config.widths[stage] = shapes.conv(&format!("{part}.0.block.0"))?.outputs;
        config.blocks[stage] = shapes.count(|block| format!("{part}.{block}."));
    }
    let mut known = CONVNEXTS.iter();
    let known = known.find(|(_, published)| published(stem.inputs, outputs) == config);
    Ok(Described {
        name: known.map_or("convnext", |(name, _)| name).into(),
        architecture: Architecture::ConvNeXt(config),
        notes: Vec::new(),
    })
}
