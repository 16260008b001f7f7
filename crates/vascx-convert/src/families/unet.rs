//! Our own U-Net: encoder and decoder of numbered blocks of numbered layers.

use vascx_models::{Architecture, Norm, UNetConfig, Upsampling};

use super::scheme::Scheme;
use super::shapes::{NormKind, Shapes};
use super::{Described, Family, UNSURE_NORM};

pub(super) const FAMILY: Family = Family {
    name: "unet",
    head: None,
    scheme: Scheme {
        layers: &[
            ("encoder.{}.layers.{}.conv", "encoder.{}.layers.{}.conv"),
            ("encoder.{}.layers.{}.norm", "encoder.{}.layers.{}.norm"),
            ("decoder.{}.up", "decoder.{}.up"),
            ("decoder.{}.up.conv", "decoder.{}.up.1"),
            (
                "decoder.{}.block.layers.{}.conv",
                "decoder.{}.block.layers.{}.conv",
            ),
            (
                "decoder.{}.block.layers.{}.norm",
                "decoder.{}.block.layers.{}.norm",
            ),
            ("head", "head"),
            ("auxiliary_heads.{}", "auxiliary_heads.{}"),
        ],
        dropped: &[],
    },
    describe,
    holds: |architecture| matches!(architecture, Architecture::UNet(_)),
};

fn describe(shapes: Shapes) -> Result<Described, String> {
    let levels = shapes.count(|level| format!("encoder.{level}.layers.0."));
    let in_channels = shapes.conv("encoder.0.layers.0.conv")?.inputs;
    let conv = |level| shapes.conv(&format!("encoder.{level}.layers.0.conv"));
    let widths = (0..levels).map(|level| Ok(conv(level)?.outputs));
    let widths = widths.collect::<Result<Vec<_>, String>>()?;
    let norm = match shapes.norm("encoder.0.layers.0.norm") {
        NormKind::Batch => Norm::Batch { epsilon: 1e-5 },
        NormKind::Absent => Norm::None,
        NormKind::Affine => return Err(UNSURE_NORM.into()),
    };
    if shapes.has("decoder.0.up.1.weight") {
        return Err("nearest and bilinear up-sampling look alike: give --arch FILE.json".into());
    }
    let config = UNetConfig {
        convs_per_block: shapes.count(|layer| format!("encoder.0.layers.{layer}.")),
        conv_bias: shapes.has("encoder.0.layers.0.conv.bias"),
        norm,
        upsampling: Upsampling::Transposed,
        deep_supervision: shapes.has_below("auxiliary_heads."),
        ..UNetConfig::new(in_channels, shapes.conv("head")?.outputs, widths)
    };
    Ok(Described {
        name: "unet".into(),
        architecture: Architecture::UNet(config),
        notes: vec!["a state dict does not tell activations: ReLU assumed".into()],
    })
}
