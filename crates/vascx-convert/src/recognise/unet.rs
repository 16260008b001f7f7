//! The plain U-Net: `encoder` (list of blocks), `pool`, `decoder` (list of `up` + `block`), `head`,
//! optionally `auxiliary_heads`; a block is `layers` of `conv`, `norm`, `activation`, `dropout`.

use vascx_models::{Activation, Norm, UNetConfig, Upsampling};

use super::node::{Node, Reason, Tensors};

/// Whether the node has the attributes that make it a U-Net or a failed attempt at one.
pub(super) fn has_attributes(node: &Node) -> bool {
    ["encoder", "pool", "decoder", "head"]
        .iter()
        .all(|name| node.child(name).is_some())
}

pub(super) fn recognise<'a>(
    node: &Node<'a>,
    tensors: &mut Tensors<'a>,
) -> Result<UNetConfig, Reason> {
    node.expect_child("pool")?.expect_arguments(
        "torch.max_pool2d",
        1,
        &["[2, 2]", "[2, 2]", "[0, 0]", "[1, 1]"],
    )?;
    let encoder = blocks(node, "encoder")?;
    let decoder = blocks(node, "decoder")?;
    if encoder.is_empty() || decoder.len() + 1 != encoder.len() {
        let what = format!(
            "{} encoder and {} decoder blocks",
            encoder.len(),
            decoder.len()
        );
        return Err(node.reason(&what));
    }

    let mut shared = Shared::default();
    let mut widths = Vec::new();
    let mut in_channels = 0;
    for (level, block) in encoder.iter().enumerate() {
        let target = format!("encoder.{level}");
        let channels = conv_block(block, &target, &mut shared, tensors)?;
        if level == 0 {
            in_channels = channels.inputs;
        }
        widths.push(channels.outputs);
    }
    for (index, up_block) in decoder.iter().enumerate() {
        let target = format!("decoder.{index}");
        let up = up_sampling(
            &up_block.expect_child("up")?,
            &format!("{target}.up"),
            tensors,
        )?;
        shared.agree(|shared| &mut shared.upsampling, up, up_block)?;
        let block = up_block.expect_child("block")?;
        conv_block(&block, &format!("{target}.block"), &mut shared, tensors)?;
    }
    let (_, out_channels, _) = node.expect_child("head")?.conv(1, 1, "head", tensors)?;
    let auxiliary = node.child("auxiliary_heads");
    if let Some(heads) = &auxiliary {
        for (index, head) in heads.children().enumerate() {
            // Unused at inference, so the program holds no call to check the convolution against.
            let target = format!("auxiliary_heads.{index}");
            tensors.add(&head, "weight", &target, "weight");
            tensors.add(&head, "bias", &target, "bias");
        }
    }
    let missing = || node.reason("has no convolution layer");
    Ok(UNetConfig {
        in_channels,
        out_channels,
        widths,
        convs_per_block: shared.convs_per_block.ok_or_else(missing)?,
        conv_bias: shared.conv_bias.ok_or_else(missing)?,
        norm: shared.norm.ok_or_else(missing)?,
        activation: shared.activation.ok_or_else(missing)?,
        upsampling: shared.upsampling.unwrap_or(Upsampling::Transposed),
        dropout: 0.0,
        deep_supervision: auxiliary.is_some(),
    })
}

/// Properties that every block of a plain U-Net has in common.
#[derive(Default)]
struct Shared {
    convs_per_block: Option<usize>,
    conv_bias: Option<bool>,
    norm: Option<Norm>,
    activation: Option<Activation>,
    upsampling: Option<Upsampling>,
}

impl Shared {
    /// Notes a property, or fails when an earlier block had another.
    fn agree<T: PartialEq + std::fmt::Debug>(
        &mut self,
        property: impl FnOnce(&mut Self) -> &mut Option<T>,
        found: T,
        node: &Node,
    ) -> Result<(), Reason> {
        match property(self) {
            Some(earlier) if *earlier != found => {
                Err(node.reason(&format!("{found:?}, but earlier blocks have {earlier:?}")))
            }
            Some(_) => Ok(()),
            unknown => {
                *unknown = Some(found);
                Ok(())
            }
        }
    }
}

struct Channels {
    inputs: usize,
    outputs: usize,
}

fn blocks<'a>(node: &Node<'a>, name: &str) -> Result<Vec<Node<'a>>, Reason> {
    Ok(node.expect_child(name)?.children().collect())
}

fn conv_block<'a>(
    block: &Node<'a>,
    target: &str,
    shared: &mut Shared,
    tensors: &mut Tensors<'a>,
) -> Result<Channels, Reason> {
    let layers: Vec<_> = block.expect_child("layers")?.children().collect();
    shared.agree(|shared| &mut shared.convs_per_block, layers.len(), block)?;
    let mut channels = None;
    for (index, layer) in layers.iter().enumerate() {
        let target = format!("{target}.layers.{index}");
        let conv = layer.expect_child("conv")?;
        let (inputs, outputs, bias) = conv.conv(3, 1, &format!("{target}.conv"), tensors)?;
        shared.agree(|shared| &mut shared.conv_bias, bias, &conv)?;
        let norm = layer.expect_child("norm")?;
        let found = norm_of(&norm, &format!("{target}.norm"), tensors)?;
        shared.agree(|shared| &mut shared.norm, found, &norm)?;
        let activation = layer.expect_child("activation")?;
        let found = activation_of(&activation)?;
        shared.agree(|shared| &mut shared.activation, found, &activation)?;
        channels = Some(Channels {
            inputs: channels.map_or(inputs, |first: Channels| first.inputs),
            outputs,
        });
    }
    channels.ok_or_else(|| block.reason("has no convolution layer"))
}

fn norm_of<'a>(node: &Node<'a>, target: &str, tensors: &mut Tensors<'a>) -> Result<Norm, Reason> {
    match node.class_name() {
        "BatchNorm2d" => Ok(Norm::Batch {
            epsilon: node.batch_norm(target, tensors)?,
        }),
        "InstanceNorm2d" => {
            // Argument 5 asks for the statistics of the image rather than the running ones.
            node.expect_arguments("torch.instance_norm", 5, &["True"])?;
            let epsilon = node.number("torch.instance_norm", 7, 1e-5)?;
            let affine = tensors.add(node, "weight", target, "gamma");
            tensors.add(node, "bias", target, "beta");
            Ok(Norm::Instance { epsilon, affine })
        }
        "GroupNorm" => {
            let groups = node.number("torch.group_norm", 1, 0.0)? as usize;
            let epsilon = node.number("torch.group_norm", 4, 1e-5)?;
            tensors.add(node, "weight", target, "gamma");
            tensors.add(node, "bias", target, "beta");
            Ok(Norm::Group { groups, epsilon })
        }
        "Identity" => Ok(Norm::None),
        _ => Err(node.reason("is no supported norm (batch, instance, group, identity)")),
    }
}

fn activation_of(node: &Node) -> Result<Activation, Reason> {
    match node.class_name() {
        "ReLU" => Ok(Activation::Relu),
        "LeakyReLU" => {
            let negative_slope = node.number("torch.leaky_relu", 1, 0.01)?;
            Ok(Activation::LeakyRelu { negative_slope })
        }
        "ELU" => Ok(Activation::Elu {
            alpha: node.number("torch.elu", 1, 1.0)?,
        }),
        "SiLU" => Ok(Activation::Silu),
        "GELU" if node.call("torch.gelu")?.len() == 1 => Ok(Activation::Gelu),
        _ => {
            Err(node.reason("is no supported activation (ReLU, LeakyReLU, ELU, SiLU, exact GELU)"))
        }
    }
}

fn up_sampling<'a>(
    node: &Node<'a>,
    target: &str,
    tensors: &mut Tensors<'a>,
) -> Result<Upsampling, Reason> {
    if node.class_name() == "ConvTranspose2d" {
        node.expect_arguments(
            "torch._convolution",
            3,
            &["[2, 2]", "[0, 0]", "[1, 1]", "True", "[0, 0]", "1"],
        )?;
        let [_, _, height, width] = node.shape("weight")?;
        if [height, width] != [2, 2] {
            return Err(node.reason(&format!("kernel {height} × {width}, expected 2")));
        }
        tensors.add(node, "weight", target, "weight");
        if !tensors.add(node, "bias", target, "bias") {
            return Err(node.reason("has no bias"));
        }
        return Ok(Upsampling::Transposed);
    }
    node.expect_class("Sequential")?;
    let children: Vec<_> = node.children().collect();
    let [interpolation, conv] = &children[..] else {
        return Err(node.reason("expected an Upsample and a Conv2d"));
    };
    interpolation.expect_class("Upsample")?;
    let [_, _, kernel_size, _] = conv.shape("weight")?;
    let (_, _, bias) = conv.conv(kernel_size, 1, &format!("{target}.conv"), tensors)?;
    if !bias {
        return Err(conv.reason("has no bias"));
    }
    if interpolation
        .expect_arguments("torch.upsample_nearest2d", 1, &["None", "[2., 2.]"])
        .is_ok()
    {
        return Ok(Upsampling::Nearest { kernel_size });
    }
    let align_corners = match interpolation.call("torch.upsample_bilinear2d")?[1..] {
        ["None", "False", "[2., 2.]"] => false,
        ["None", "True", "[2., 2.]"] => true,
        _ => return Err(interpolation.reason("does not double the resolution")),
    };
    Ok(Upsampling::Bilinear {
        kernel_size,
        align_corners,
    })
}
