"""The networks of public libraries that imports are tried on, with random weights."""

from __future__ import annotations

import torch
from torch import nn

from reference.networks import ResNet, UNet

SEGMENTATION, CLASSIFICATION, REGRESSION = (
    "SegmentationEnsemble",
    "ClassificationEnsemble",
    "RegressionEnsemble",
)


def tv(name, **settings):
    def build():
        import torchvision

        return getattr(torchvision.models, name)(weights=None, num_classes=3, **settings)

    return build


def tv_segmentation(name):
    class Out(nn.Module):
        def __init__(self):
            super().__init__()
            import torchvision

            build = getattr(torchvision.models.segmentation, name)
            self.net = build(weights=None, weights_backbone=None, num_classes=2)

        def forward(self, x):
            return self.net(x)["out"]

    return Out


def tm(name, **settings):
    def build():
        import timm

        return timm.create_model(name, num_classes=3, **settings)

    return build


def smp(name, encoder="resnet18", **settings):
    def build():
        import segmentation_models_pytorch

        network = getattr(segmentation_models_pytorch, name)
        return network(encoder, encoder_weights=None, classes=2, **settings)

    return build


def monai(name, **settings):
    def build():
        import monai.networks.nets

        return getattr(monai.networks.nets, name)(**settings)

    return build


class MaskedWindow(nn.Module):
    """Slice assignment, rolling and a mask that depends on the input's size."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        y = self.first(x)
        mask = torch.zeros_like(y[:, :1])
        mask[:, :, : y.shape[2] // 2, 1:-1] = 1.0
        y = torch.roll(y, (2, -1), dims=(2, 3)) * mask + y.clamp(-1, 1)
        # A device that tracing writes down.
        y = y + 0.01 * torch.arange(y.shape[3], dtype=y.dtype, device=y.device)
        y[:, 0] += 0.5
        return self.last(y.relu_())


class Looping(nn.Module):
    """Control flow that only scripting keeps."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 if i == 0 else 6, 6, 3, padding=1) for i in range(3))
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept: list[torch.Tensor] = []
        for i, layer in enumerate(self.layers):
            x = torch.relu(layer(x))
            if i % 2 == 0:
                kept.append(x)
        count = 0
        while count < 2:
            x = x + kept[count]
            count += 1
        if x.size(2) % 2 != 0:
            raise ValueError("odd")
        return self.last(x)


# name → (builder, task, channels, side, members)
TRACED = {
    "vascx unet": (lambda: UNet(6, 4, [8, 16, 24]), SEGMENTATION, 6, 64, 5),
    "vascx resnet18": (lambda: ResNet(18, 3, 3, width=8), CLASSIFICATION, 3, 64, 5),
    "plain masked window": (MaskedWindow, SEGMENTATION, 3, 32, 2),
    "torchvision resnet18": (tv("resnet18"), CLASSIFICATION, 3, 64, 2),
    "torchvision resnext50_32x4d": (tv("resnext50_32x4d"), REGRESSION, 3, 64, 1),
    "torchvision densenet121": (tv("densenet121"), CLASSIFICATION, 3, 64, 1),
    "torchvision vgg11_bn": (tv("vgg11_bn"), CLASSIFICATION, 3, 64, 1),
    "torchvision squeezenet1_1": (tv("squeezenet1_1"), CLASSIFICATION, 3, 64, 5),
    "torchvision mobilenet_v2": (tv("mobilenet_v2"), CLASSIFICATION, 3, 64, 2),
    "torchvision mobilenet_v3_small": (tv("mobilenet_v3_small"), REGRESSION, 3, 64, 5),
    "torchvision shufflenet_v2_x0_5": (tv("shufflenet_v2_x0_5"), CLASSIFICATION, 3, 64, 2),
    "torchvision mnasnet0_5": (tv("mnasnet0_5"), CLASSIFICATION, 3, 64, 1),
    "torchvision regnet_y_400mf": (tv("regnet_y_400mf"), CLASSIFICATION, 3, 64, 1),
    "torchvision efficientnet_b0": (tv("efficientnet_b0"), CLASSIFICATION, 3, 64, 2),
    "torchvision efficientnet_v2_s": (tv("efficientnet_v2_s"), CLASSIFICATION, 3, 64, 1),
    "torchvision convnext_tiny": (tv("convnext_tiny"), CLASSIFICATION, 3, 64, 1),
    "torchvision swin_t": (tv("swin_t"), CLASSIFICATION, 3, 64, 1),
    "torchvision swin_v2_t": (tv("swin_v2_t"), CLASSIFICATION, 3, 64, 1),
    "torchvision vit_b_32": (tv("vit_b_32"), CLASSIFICATION, 3, 224, 1),
    "torchvision googlenet": (tv("googlenet", aux_logits=False, init_weights=False), CLASSIFICATION, 3, 96, 1),
    "torchvision fcn_resnet50": (tv_segmentation("fcn_resnet50"), SEGMENTATION, 3, 64, 1),
    "torchvision deeplabv3_resnet50": (tv_segmentation("deeplabv3_resnet50"), SEGMENTATION, 3, 64, 1),
    "torchvision lraspp_mobilenet": (tv_segmentation("lraspp_mobilenet_v3_large"), SEGMENTATION, 3, 64, 1),
    "timm vit_tiny_patch16_224": (tm("vit_tiny_patch16_224"), CLASSIFICATION, 3, 224, 1),
    "timm deit_tiny_patch16_224": (tm("deit_tiny_patch16_224"), CLASSIFICATION, 3, 224, 2),
    "timm convnextv2_atto": (tm("convnextv2_atto"), CLASSIFICATION, 3, 64, 2),
    "timm efficientnet_lite0": (tm("efficientnet_lite0"), REGRESSION, 3, 64, 1),
    "timm mobilevit_xxs": (tm("mobilevit_xxs"), CLASSIFICATION, 3, 64, 2),
    "timm resnest14d": (tm("resnest14d"), CLASSIFICATION, 3, 64, 1),
    "timm res2net50d": (tm("res2net50d"), CLASSIFICATION, 3, 64, 1),
    "timm ghostnet_050": (tm("ghostnet_050"), CLASSIFICATION, 3, 64, 5),
    "timm poolformer_s12": (tm("poolformer_s12"), CLASSIFICATION, 3, 64, 1),
    "timm mixer_s32_224": (tm("mixer_s32_224"), CLASSIFICATION, 3, 224, 1),
    "timm pvt_v2_b0": (tm("pvt_v2_b0"), CLASSIFICATION, 3, 64, 1),
    "timm edgenext_xx_small": (tm("edgenext_xx_small"), CLASSIFICATION, 3, 64, 1),
    "timm coat_lite_tiny": (tm("coat_lite_tiny"), CLASSIFICATION, 3, 224, 1),
    "timm hardcorenas_a": (tm("hardcorenas_a"), CLASSIFICATION, 3, 64, 1),
    "timm nf_regnet_b0": (tm("nf_regnet_b0"), CLASSIFICATION, 3, 64, 1),
    "smp Unet resnet18": (smp("Unet"), SEGMENTATION, 3, 64, 5),
    "smp Unet efficientnet-b0": (smp("Unet", "efficientnet-b0"), SEGMENTATION, 3, 64, 1),
    "smp UnetPlusPlus": (smp("UnetPlusPlus"), SEGMENTATION, 3, 64, 1),
    "smp Unet scse": (smp("Unet", decoder_attention_type="scse"), SEGMENTATION, 3, 64, 1),
    "smp FPN": (smp("FPN"), SEGMENTATION, 3, 64, 1),
    "smp Linknet": (smp("Linknet"), SEGMENTATION, 3, 64, 1),
    "smp MAnet": (smp("MAnet"), SEGMENTATION, 3, 64, 1),
    "smp PAN": (smp("PAN"), SEGMENTATION, 3, 256, 1),
    "smp PSPNet": (smp("PSPNet"), SEGMENTATION, 3, 64, 1),
    "smp DeepLabV3Plus": (smp("DeepLabV3Plus"), SEGMENTATION, 3, 64, 1),
    "smp UPerNet": (smp("UPerNet"), SEGMENTATION, 3, 64, 1),
    "smp Segformer mit_b0": (smp("Segformer", "mit_b0"), SEGMENTATION, 3, 64, 1),
    "monai BasicUNet": (monai("BasicUNet", spatial_dims=2, in_channels=3, out_channels=2, features=(8, 8, 16, 16, 16, 8)), SEGMENTATION, 3, 64, 2),
    "monai UNet": (monai("UNet", spatial_dims=2, in_channels=3, out_channels=2, channels=(8, 16, 16), strides=(2, 2), num_res_units=2), SEGMENTATION, 3, 64, 5),
    "monai AttentionUnet": (monai("AttentionUnet", spatial_dims=2, in_channels=3, out_channels=2, channels=(8, 16, 16), strides=(2, 2)), SEGMENTATION, 3, 64, 1),
    "monai SegResNet": (monai("SegResNet", spatial_dims=2, in_channels=3, out_channels=2, init_filters=8), SEGMENTATION, 3, 64, 1),
    "monai DynUNet": (monai("DynUNet", spatial_dims=2, in_channels=3, out_channels=2, kernel_size=[3, 3, 3], strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[8, 16, 16]), SEGMENTATION, 3, 64, 1),
}
SCRIPTED = {
    "plain looping": (Looping, SEGMENTATION, 3, 32, 2),
    **{
        name: TRACED[name]
        for name in [
            "torchvision resnet18",
            "torchvision densenet121",
            "torchvision mobilenet_v3_small",
            "torchvision efficientnet_b0",
            "torchvision convnext_tiny",
            "torchvision swin_t",
            "torchvision shufflenet_v2_x0_5",
            "torchvision deeplabv3_resnet50",
            "torchvision vit_b_32",
            "timm convnextv2_atto",
            "smp Unet resnet18",
            "monai BasicUNet",
            "monai SegResNet",
        ]
    },
}
# Exported by torch.onnx.export with dynamic batch, height and width.
ONNX = {
    name: TRACED[name]
    for name in [
        "vascx unet",
        "vascx resnet18",
        "torchvision resnet18",
        "torchvision efficientnet_b0",
        "torchvision mobilenet_v3_small",
        "torchvision convnext_tiny",
        "torchvision densenet121",
        "torchvision swin_t",
        "torchvision deeplabv3_resnet50",
        "timm vit_tiny_patch16_224",
        "timm convnextv2_atto",
        "timm mobilevit_xxs",
        "timm res2net50d",
        "smp Unet resnet18",
        "smp FPN",
        "smp DeepLabV3Plus",
        "smp Segformer mit_b0",
        "monai BasicUNet",
        "monai UNet",
        "monai SegResNet",
    ]
}


def dynunet(**settings):
    shape = {
        "kernel_size": [3, 3, 3, 3],
        "strides": [1, 2, 2, 2],
        "upsample_kernel_size": [2, 2, 2],
        "filters": [16, 32, 48, 64],
    }
    return monai("DynUNet", spatial_dims=2, in_channels=3, out_channels=2, **{**shape, **settings})


# Weights alone: the typed networks, at the sizes their libraries publish.
STATE_DICTS = {
    "vascx unet": TRACED["vascx unet"],
    **{
        f"torchvision {name}": (tv(name), CLASSIFICATION, 3, 64, members)
        for name, members in [
            ("resnet18", 5),
            ("resnet34", 2),
            ("resnet50", 2),
            ("resnet101", 1),
            ("resnet152", 1),
            *((f"efficientnet_b{size}", 1) for size in range(8)),
            ("convnext_tiny", 2),
            ("convnext_small", 1),
            ("convnext_base", 1),
            ("convnext_large", 1),
            ("mobilenet_v3_small", 5),
            ("mobilenet_v3_large", 2),
        ]
    },
    **{
        f"smp Unet {encoder}": (smp("Unet", encoder), SEGMENTATION, 3, 64, members)
        for encoder, members in [
            ("resnet18", 5),
            ("resnet34", 2),
            ("resnet50", 1),
            ("resnet101", 1),
            ("resnet152", 1),
        ]
    },
    **{
        f"timm {name}": (tm(name), CLASSIFICATION, 3, 64, 1)
        for name in [
            "resnet50",
            "efficientnet_b0",
            "efficientnet_b3",
            "convnext_tiny",
            "mobilenetv3_small_100",
            "mobilenetv3_large_100",
        ]
    },
    "monai BasicUNet": TRACED["monai BasicUNet"],
    "monai DynUNet": (dynunet(), SEGMENTATION, 3, 64, 2),
    "monai DynUNet residual": (dynunet(res_block=True), SEGMENTATION, 3, 64, 1),
    "monai DynUNet supervised": (
        dynunet(deep_supervision=True, deep_supr_num=2),
        SEGMENTATION,
        3,
        64,
        1,
    ),
}
# Every list by what is saved of the networks.
KINDS = {"traced": TRACED, "scripted": SCRIPTED, "ONNX": ONNX, "state dict": STATE_DICTS}
