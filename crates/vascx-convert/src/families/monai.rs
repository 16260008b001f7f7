//! MONAI's `BasicUNet` and `DynUNet`.

use vascx_models::{Architecture, BasicUNetConfig, DynUNetConfig, DynUNetLevel, Norm};

use super::scheme::Scheme;
use super::shapes::{NormKind, Shapes};
use super::{Described, Family};

pub(super) const BASIC_UNET: Family = Family {
    name: "monai_basic_unet",
    head: None,
    scheme: Scheme {
        layers: &[
            ("encoder.0.convs.{}.conv", "conv_0.conv_{}.conv"),
            ("encoder.0.convs.{}.norm", "conv_0.conv_{}.adn.N"),
            ("encoder.{}.convs.{}.conv", "down_{}.convs.conv_{}.conv"),
            ("encoder.{}.convs.{}.norm", "down_{}.convs.conv_{}.adn.N"),
            ("decoder.0.up", "upcat_4.upsample.deconv"),
            ("decoder.1.up", "upcat_3.upsample.deconv"),
            ("decoder.2.up", "upcat_2.upsample.deconv"),
            ("decoder.3.up", "upcat_1.upsample.deconv"),
            ("decoder.0.convs.{}.conv", "upcat_4.convs.conv_{}.conv"),
            ("decoder.1.convs.{}.conv", "upcat_3.convs.conv_{}.conv"),
            ("decoder.2.convs.{}.conv", "upcat_2.convs.conv_{}.conv"),
            ("decoder.3.convs.{}.conv", "upcat_1.convs.conv_{}.conv"),
            ("decoder.0.convs.{}.norm", "upcat_4.convs.conv_{}.adn.N"),
            ("decoder.1.convs.{}.norm", "upcat_3.convs.conv_{}.adn.N"),
            ("decoder.2.convs.{}.norm", "upcat_2.convs.conv_{}.adn.N"),
            ("decoder.3.convs.{}.norm", "upcat_1.convs.conv_{}.adn.N"),
            ("head", "final_conv"),
        ],
        dropped: &[],
    },
    describe: describe_basic,
    holds: |architecture| matches!(architecture, Architecture::BasicUNet(_)),
};

pub(super) const DYN_UNET: Family = Family {
    name: "monai_dynunet",
    head: None,
    scheme: Scheme {
        layers: &[
            ("input_block.conv{}.conv", "input_block.conv{}.conv"),
            ("input_block.conv{}.norm", "input_block.norm{}"),
            ("downs.{}.conv{}.conv", "downsamples.{}.conv{}.conv"),
            ("downs.{}.conv{}.norm", "downsamples.{}.norm{}"),
            ("bottleneck.conv{}.conv", "bottleneck.conv{}.conv"),
            ("bottleneck.conv{}.norm", "bottleneck.norm{}"),
            ("decoder.{}.up", "upsamples.{}.transp_conv.conv"),
            (
                "decoder.{}.block.conv{}.conv",
                "upsamples.{}.conv_block.conv{}.conv",
            ),
            (
                "decoder.{}.block.conv{}.norm",
                "upsamples.{}.conv_block.norm{}",
            ),
            ("head", "output_block.conv.conv"),
            (
                "supervision_heads.{}",
                "deep_supervision_heads.{}.conv.conv",
            ),
        ],
        // The same modules once more, as the library nests them for its forward pass.
        dropped: &["skip_layers.*"],
    },
    describe: describe_dyn,
    holds: |architecture| matches!(architecture, Architecture::DynUNet(_)),
};

fn norm(shapes: Shapes, layer: &str) -> (Norm, Option<String>) {
    match shapes.norm(layer) {
        NormKind::Batch => (Norm::Batch { epsilon: 1e-5 }, None),
        kind => (
            Norm::Instance {
                epsilon: 1e-5,
                affine: kind == NormKind::Affine,
            },
            Some("a state dict does not tell instance from group norm: instance assumed".into()),
        ),
    }
}

fn describe_basic(shapes: Shapes) -> Result<Described, String> {
    let first = shapes.conv("conv_0.conv_0.conv")?;
    let width = |layer: &str| Ok::<_, String>(shapes.conv(layer)?.outputs);
    let features = [
        first.outputs,
        width("down_1.convs.conv_0.conv")?,
        width("down_2.convs.conv_0.conv")?,
        width("down_3.convs.conv_0.conv")?,
        width("down_4.convs.conv_0.conv")?,
        width("upcat_1.convs.conv_0.conv")?,
    ];
    let (norm, note) = norm(shapes, "conv_0.conv_0.adn.N");
    let config = BasicUNetConfig {
        features,
        conv_bias: shapes.has("conv_0.conv_0.conv.bias"),
        norm,
        ..BasicUNetConfig::new(first.inputs, shapes.conv("final_conv")?.outputs)
    };
    let activation = "a state dict does not tell activations: leaky ReLU of 0.1 assumed";
    Ok(Described {
        name: "monai_basic_unet".into(),
        architecture: Architecture::BasicUNet(config),
        notes: note.into_iter().chain([activation.into()]).collect(),
    })
}

fn describe_dyn(shapes: Shapes) -> Result<Described, String> {
    let downs = shapes.count(|level| format!("downsamples.{level}."));
    let first = shapes.conv("input_block.conv1.conv")?;
    let mut levels = vec![DynUNetLevel {
        width: first.outputs,
        kernel_size: first.side,
        stride: 1,
    }];
    for level in 0..=downs {
        let block = if level == downs {
            "bottleneck".to_owned()
        } else {
            format!("downsamples.{level}")
        };
        let conv = shapes.conv(&format!("{block}.conv1.conv"))?;
        // Strides are not stored; the transposed convolution that undoes one has it as its side.
        let up = shapes.conv(&format!("upsamples.{}.transp_conv.conv", downs - level))?;
        levels.push(DynUNetLevel {
            width: conv.outputs,
            kernel_size: conv.side,
            stride: up.side,
        });
    }
    let (norm, note) = norm(shapes, "input_block.norm1");
    let config = DynUNetConfig {
        levels,
        residual: shapes.has("input_block.conv3.conv.weight"),
        transposed_bias: shapes.has("upsamples.0.transp_conv.conv.bias"),
        norm,
        supervised_levels: shapes.count(|head| format!("deep_supervision_heads.{head}.")),
        ..DynUNetConfig::new(
            first.inputs,
            shapes.conv("output_block.conv.conv")?.outputs,
            [],
        )
    };
    let activation = "a state dict does not tell activations: leaky ReLU of 0.01 assumed";
    Ok(Described {
        name: "monai_dynunet".into(),
        architecture: Architecture::DynUNet(config),
        notes: note.into_iter().chain([activation.into()]).collect(),
    })
}
