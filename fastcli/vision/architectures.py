"""The architectures of fastai and torchvision by their names, each as timm has it."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = [
    "Arch",
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
    "maxvit_t",
    "mnasnet1_0",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "swin_b",
    "swin_s",
    "swin_t",
    "vgg11_bn",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vit_b_16",
    "vit_b_32",
    "vit_l_16",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "xresnet18",
    "xresnet34",
    "xresnet50",
    "xresnet101",
    "xresnet152",
]


class Arch(str):
    """timm's name of an architecture; calling it makes the model, with random weights unless told otherwise."""

    def __call__(self, n_out: int = 1000, pretrained: bool = False, c_in: int = 3, **options: Any) -> nn.Module:
        """Timm's model with its own head."""
        import timm

        model: nn.Module = timm.create_model(str(self), pretrained, num_classes=n_out, in_chans=c_in, **options)
        return model


resnet18 = Arch("resnet18")
resnet34 = Arch("resnet34")
resnet50 = Arch("resnet50")
resnet101 = Arch("resnet101")
resnet152 = Arch("resnet152")
densenet121 = Arch("densenet121")
densenet161 = Arch("densenet161")
densenet169 = Arch("densenet169")
densenet201 = Arch("densenet201")
vgg11_bn = Arch("vgg11_bn")
vgg13_bn = Arch("vgg13_bn")
vgg16_bn = Arch("vgg16_bn")
vgg19_bn = Arch("vgg19_bn")
vgg16 = Arch("vgg16")
vgg19 = Arch("vgg19")
convnext_tiny = Arch("convnext_tiny")
convnext_small = Arch("convnext_small")
convnext_base = Arch("convnext_base")
convnext_large = Arch("convnext_large")
efficientnet_b0 = Arch("efficientnet_b0")
efficientnet_b1 = Arch("efficientnet_b1")
efficientnet_b2 = Arch("efficientnet_b2")
efficientnet_b3 = Arch("efficientnet_b3")
efficientnet_b4 = Arch("efficientnet_b4")
wide_resnet50_2 = Arch("wide_resnet50_2")
wide_resnet101_2 = Arch("wide_resnet101_2")
mobilenet_v2 = Arch("mobilenetv2_100")
mobilenet_v3_large = Arch("mobilenetv3_large_100")
mobilenet_v3_small = Arch("mobilenetv3_small_100")
mnasnet1_0 = Arch("mnasnet_100")
efficientnet_v2_s = Arch("tf_efficientnetv2_s")
efficientnet_v2_m = Arch("tf_efficientnetv2_m")
efficientnet_v2_l = Arch("tf_efficientnetv2_l")
regnet_y_400mf = Arch("regnety_004")
regnet_x_400mf = Arch("regnetx_004")
swin_t = Arch("swin_tiny_patch4_window7_224")
swin_s = Arch("swin_small_patch4_window7_224")
swin_b = Arch("swin_base_patch4_window7_224")
vit_b_16 = Arch("vit_base_patch16_224")
vit_b_32 = Arch("vit_base_patch32_224")
vit_l_16 = Arch("vit_large_patch16_224")
maxvit_t = Arch("maxvit_tiny_tf_224")
# timm's ResNet-D has the three changes that make a resnet an xresnet.
xresnet18 = Arch("resnet18d")
xresnet34 = Arch("resnet34d")
xresnet50 = Arch("resnet50d")
xresnet101 = Arch("resnet101d")
xresnet152 = Arch("resnet152d")
