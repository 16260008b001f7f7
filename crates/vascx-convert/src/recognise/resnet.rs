//! ResNet with torchvision's attribute names: `conv1`, `bn1`, `layer1` … `layer4`, `fc`.

use vascx_models::{ResNetConfig, ResNetDepth};

use super::node::{Node, Reason, Tensors};

/// Whether the node has the attributes that make it a ResNet or a failed attempt at one.
pub(super) fn has_attributes(node: &Node) -> bool {
    ["conv1", "bn1", "maxpool", "layer1", "layer4", "fc"]
        .iter()
        .all(|name| node.child(name).is_some())
}

pub(super) fn recognise<'a>(
    node: &Node<'a>,
    tensors: &mut Tensors<'a>,
) -> Result<ResNetConfig, Reason> {
    let (in_channels, width, _) = node.expect_child("conv1")?.conv(7, 2, "conv1", tensors)?;
    let epsilon = node.expect_child("bn1")?.batch_norm("bn1", tensors)?;
    node.expect_child("maxpool")?.expect_arguments(
        "torch.max_pool2d",
        1,
        &["[3, 3]", "[2, 2]", "[1, 1]", "[1, 1]"],
    )?;
    let stages = (1..=4)
        .map(|stage| {
            Ok(node
                .expect_child(&format!("layer{stage}"))?
                .children()
                .collect())
        })
        .collect::<Result<Vec<Vec<Node>>, Reason>>()?;
    let counts: Vec<usize> = stages.iter().map(Vec::len).collect();
    let bottlenecks = stages[0]
        .first()
        .is_some_and(|block| block.child("conv3").is_some());
    let depth = ResNetDepth::ALL
        .into_iter()
        .find(|depth| {
            depth.blocks_per_stage()[..] == counts && depth.has_bottlenecks() == bottlenecks
        })
        .ok_or_else(|| node.reason(&format!("{counts:?} blocks are no ResNet-18, -34 or -50")))?;
    for (stage, blocks) in stages.iter().enumerate() {
        for (index, block_node) in blocks.iter().enumerate() {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let target = format!("layer{}.{index}", stage + 1);
            let epsilons = block(block_node, stride, bottlenecks, &target, tensors)?;
            if epsilons.iter().any(|&other| other != epsilon) {
                return Err(block_node.reason("its batch norms have another ε than the stem's"));
            }
        }
    }
    let fc = node.expect_child("fc")?;
    fc.expect_class("Linear")?;
    let [outputs, _] = fc.shape("weight")?;
    tensors.add(&fc, "weight", "fc", "weight");
    if !tensors.add(&fc, "bias", "fc", "bias") {
        return Err(fc.reason("has no bias"));
    }
    Ok(ResNetConfig {
        depth,
        in_channels,
        outputs,
        width,
        epsilon,
    })
}

/// Adds a basic block or bottleneck; returns the ε of its norms.
fn block<'a>(
    node: &Node<'a>,
    stride: usize,
    bottleneck: bool,
    target: &str,
    tensors: &mut Tensors<'a>,
) -> Result<Vec<f64>, Reason> {
    let convolutions: &[(usize, usize)] = if bottleneck {
        &[(1, 1), (3, stride), (1, 1)]
    } else {
        &[(3, stride), (3, 1)]
    };
    let mut epsilons = Vec::new();
    for (number, &(kernel_size, stride)) in (1..).zip(convolutions) {
        let conv = node.expect_child(&format!("conv{number}"))?;
        conv.conv(
            kernel_size,
            stride,
            &format!("{target}.conv{number}"),
            tensors,
        )?;
        let norm = node.expect_child(&format!("bn{number}"))?;
        epsilons.push(norm.batch_norm(&format!("{target}.bn{number}"), tensors)?);
    }
    if let Some(downsample) = node.child("downsample") {
        let target = format!("{target}.downsample");
        downsample
            .expect_child("0")?
            .conv(1, stride, &format!("{target}.conv"), tensors)?;
        let norm = downsample.expect_child("1")?;
        epsilons.push(norm.batch_norm(&format!("{target}.bn"), tensors)?);
    }
    Ok(epsilons)
}
