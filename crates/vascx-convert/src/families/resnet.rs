//! ResNets as torchvision names them, alone and as the encoder of segmentation_models_pytorch's
//! `Unet`.

use vascx_models::{Architecture, ResNetConfig, ResNetDepth, ResNetUNetConfig};

use super::scheme::Scheme;
use super::shapes::Shapes;
use super::{Described, Family};

pub(super) const CLASSIFIER: Family = Family {
    name: "resnet",
    head: Some("fc"),
    scheme: Scheme {
        layers: &[
            ("encoder.conv1", "conv1"),
            ("encoder.bn1", "bn1"),
            ("encoder.layer{}.{}.conv{}", "layer{}.{}.conv{}"),
            ("encoder.layer{}.{}.bn{}", "layer{}.{}.bn{}"),
            (
                "encoder.layer{}.{}.downsample.conv",
                "layer{}.{}.downsample.0",
            ),
            (
                "encoder.layer{}.{}.downsample.bn",
                "layer{}.{}.downsample.1",
            ),
            ("fc", "fc"),
        ],
        dropped: &[],
    },
    describe: describe_classifier,
    holds: |architecture| matches!(architecture, Architecture::ResNet(_)),
};

pub(super) const UNET: Family = Family {
    name: "smp_unet",
    head: None,
    scheme: Scheme {
        layers: &[
            ("encoder.conv1", "encoder.conv1"),
            ("encoder.bn1", "encoder.bn1"),
            ("encoder.layer{}.{}.conv{}", "encoder.layer{}.{}.conv{}"),
            ("encoder.layer{}.{}.bn{}", "encoder.layer{}.{}.bn{}"),
            (
                "encoder.layer{}.{}.downsample.conv",
                "encoder.layer{}.{}.downsample.0",
            ),
            (
                "encoder.layer{}.{}.downsample.bn",
                "encoder.layer{}.{}.downsample.1",
            ),
            ("decoder.{}.conv{}.conv", "decoder.blocks.{}.conv{}.0"),
            ("decoder.{}.conv{}.norm", "decoder.blocks.{}.conv{}.1"),
            ("head", "segmentation_head.0"),
        ],
        dropped: &[],
    },
    describe: describe_unet,
    holds: |architecture| matches!(architecture, Architecture::ResNetUNet(_)),
};

fn describe_classifier(shapes: Shapes) -> Result<Described, String> {
    let depth = depth(shapes, "")?;
    let stem = shapes.conv("conv1")?;
    let [outputs, _] = shapes.get("fc.weight")?;
    let config = ResNetConfig {
        width: stem.outputs,
        ..ResNetConfig::new(depth, stem.inputs, outputs)
    };
    Ok(Described {
        name: format!("resnet{}", u16::from(depth)),
        architecture: Architecture::ResNet(config),
        notes: Vec::new(),
    })
}

fn describe_unet(shapes: Shapes) -> Result<Described, String> {
    let depth = depth(shapes, "encoder.")?;
    let stem = shapes.conv("encoder.conv1")?;
    let mut decoder_widths = [0; 5];
    for (block, width) in decoder_widths.iter_mut().enumerate() {
        *width = shapes
            .conv(&format!("decoder.blocks.{block}.conv1.0"))?
            .outputs;
    }
    let head = shapes.conv("segmentation_head.0")?;
    let config = ResNetUNetConfig {
        encoder_width: stem.outputs,
        decoder_widths,
        ..ResNetUNetConfig::new(depth, stem.inputs, head.outputs)
    };
    Ok(Described {
        name: format!("smp_unet_resnet{}", u16::from(depth)),
        architecture: Architecture::ResNetUNet(config),
        notes: vec![
            "a state dict does not tell how the decoder enlarges: nearest neighbours \
             (`decoder_interpolation=\"nearest\"`, the library's default) assumed"
                .into(),
        ],
    })
}

fn depth(shapes: Shapes, prefix: &str) -> Result<ResNetDepth, String> {
    let blocks =
        [1, 2, 3, 4].map(|stage| shapes.count(|block| format!("{prefix}layer{stage}.{block}.")));
    let bottlenecks = shapes.has(&format!("{prefix}layer1.0.conv3.weight"));
    let mut depths = ResNetDepth::ALL.into_iter();
    let fits = |depth: &ResNetDepth| {
        depth.blocks_per_stage() == blocks && depth.has_bottlenecks() == bottlenecks
    };
    depths
        .find(fits)
        .ok_or_else(|| format!("stages of {blocks:?} blocks are of no known depth"))
}
