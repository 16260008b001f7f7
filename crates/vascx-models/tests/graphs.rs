//! A network written down as a graph has the parameters of its module and answers the same.

use std::collections::BTreeMap;

use burn::backend::{Flex, NdArray};
use burn::tensor::{Distribution, Tensor, backend::Backend};
use vascx_models::{
    Activation, Architecture, BasicUNetConfig, ConvNeXtConfig, DynUNetConfig, EfficientNetConfig,
    EfficientNetStage, Ensemble, MemberOutput, MobileNetV3Config, Norm, ResNetConfig, ResNetDepth,
    ResNetUNetConfig, UNetConfig, Upsampling, parameter_specs,
};

/// f32 rounding in another order, over some fifty layers, of the largest value.
const TOLERANCE: f32 = 1e-4;

fn unets() -> Vec<Architecture> {
    let unet = UNetConfig::new(3, 2, [8, 16, 24]);
    let bilinear = |align_corners| Upsampling::Bilinear {
        kernel_size: 3,
        align_corners,
    };
    let [instance, group] = [
        Norm::Instance {
            epsilon: 1e-5,
            affine: false,
        },
        Norm::Group {
            groups: 4,
            epsilon: 1e-3,
        },
    ];
    let networks = [
        unet.clone(),
        UNetConfig {
            norm: instance,
            activation: Activation::Elu { alpha: 0.5 },
            upsampling: bilinear(false),
            ..unet.clone()
        },
        UNetConfig {
            norm: group,
            activation: Activation::LeakyRelu {
                negative_slope: 0.1,
            },
            upsampling: bilinear(true),
            conv_bias: true,
            ..unet.clone()
        },
        UNetConfig {
            norm: Norm::None,
            conv_bias: true,
            activation: Activation::Clamp { min: 0.0, max: 6.0 },
            upsampling: Upsampling::Nearest { kernel_size: 1 },
            convs_per_block: 1,
            deep_supervision: true,
            ..unet
        },
        UNetConfig::new(1, 1, [8]),
    ];
    networks.map(Architecture::UNet).into()
}

fn architectures() -> Vec<Architecture> {
    let dyn_unet = DynUNetConfig {
        residual: true,
        transposed_bias: true,
        supervised_levels: 1,
        ..DynUNetConfig::new(3, 2, [8, 16, 16])
    };
    let stage = EfficientNetStage {
        width: 8,
        blocks: 2,
        kernel_size: 3,
        stride: 2,
        expansion: 1,
    };
    let others = [
        Architecture::BasicUNet(BasicUNetConfig {
            features: [8, 8, 16, 16, 24, 8],
            ..BasicUNetConfig::new(3, 2)
        }),
        Architecture::DynUNet(dyn_unet),
        Architecture::DynUNet(DynUNetConfig::new(3, 2, [8, 16])),
        Architecture::ResNet(ResNetConfig {
            width: 8,
            ..ResNetConfig::new(ResNetDepth::D18, 3, 4)
        }),
        Architecture::ResNet(ResNetConfig {
            width: 4,
            ..ResNetConfig::new(ResNetDepth::D50, 3, 4)
        }),
        Architecture::ResNetUNet(ResNetUNetConfig {
            encoder_width: 8,
            decoder_widths: [24, 16, 8, 8, 4],
            ..ResNetUNetConfig::new(ResNetDepth::D18, 3, 2)
        }),
        Architecture::EfficientNet(EfficientNetConfig {
            in_channels: 3,
            outputs: 2,
            stem_width: 8,
            stages: vec![
                stage,
                EfficientNetStage {
                    width: 12,
                    kernel_size: 5,
                    expansion: 4,
                    ..stage
                },
            ],
            head_width: 16,
            epsilon: 1e-3,
        }),
        Architecture::ConvNeXt(ConvNeXtConfig {
            in_channels: 3,
            outputs: 2,
            widths: [8, 12, 16, 24],
            blocks: [1, 2, 1, 1],
        }),
        Architecture::MobileNetV3(MobileNetV3Config::small(3, 2)),
        Architecture::MobileNetV3(MobileNetV3Config::large(3, 2)),
    ];
    unets().into_iter().chain(others).collect()
}

fn values<B: Backend>(answer: MemberOutput<B>) -> Vec<f32> {
    let data = match answer {
        MemberOutput::Spatial(map) => map.into_data(),
        MemberOutput::Vector(vector) => vector.into_data(),
    };
    data.to_vec().unwrap()
}

fn graphs_are_their_modules<B: Backend>() {
    let device = Default::default();
    B::seed(&device, 5);
    for architecture in architectures() {
        let name = format!("{architecture:?}");
        let network = architecture.init::<B>(0, &device).unwrap();
        let graph = architecture.graph(0).unwrap();
        graph.validate().unwrap();
        let of_graph: BTreeMap<_, _> = graph
            .parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.shape.clone()))
            .collect();
        let of_module: BTreeMap<_, _> = parameter_specs(&network)
            .into_iter()
            .map(|spec| (spec.name, spec.shape))
            .collect();
        assert_eq!(of_graph, of_module, "{name}");
        assert_eq!(of_graph.len(), graph.parameters.len(), "{name}");

        let side = 64_usize.next_multiple_of(architecture.size_divisor());
        let shape = [2, architecture.in_channels(), side, side + side / 2];
        let image = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let expected = values(network.forward(image.clone()));
        let ensemble = Ensemble::of_networks(&architecture, &[network], &device).unwrap();
        let actual = values(ensemble.forward_each(image).remove(0));
        assert_eq!(actual.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        let worst = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0_f32, |a, b| if b.is_nan() { b } else { a.max(b) });
        assert!(worst <= TOLERANCE * largest, "{name}: {worst} of {largest}");
    }
}

#[test]
fn graphs_are_their_modules_on_flex() {
    graphs_are_their_modules::<Flex>();
}

#[test]
fn graphs_are_their_modules_on_ndarray() {
    graphs_are_their_modules::<NdArray>();
}
