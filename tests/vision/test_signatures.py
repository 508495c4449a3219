"""The facade against fastai 2.8.12: its names, and the names of the arguments, taken from `inspect.signature`."""

import inspect

import pytest

import fastcli.vision.all as facade
from fastcli.vision.all import Learner

SAME = {
    "ImageDataLoaders.from_folder": "path train valid valid_pct seed vocab item_tfms batch_tfms img_cls bs val_bs "
                                    "shuffle device",
    "ImageDataLoaders.from_name_func": "path fnames label_func valid_pct seed item_tfms batch_tfms img_cls bs val_bs",
    "ImageDataLoaders.from_path_func": "path fnames label_func valid_pct seed item_tfms batch_tfms img_cls bs val_bs",
    "ImageDataLoaders.from_name_re": "path fnames pat bs val_bs shuffle device",
    "ImageDataLoaders.from_path_re": "path fnames pat valid_pct seed item_tfms batch_tfms img_cls bs",
    "ImageDataLoaders.from_df": "df path valid_pct seed fn_col folder suff label_col label_delim y_block valid_col "
                                "item_tfms batch_tfms img_cls bs",
    "ImageDataLoaders.from_csv": "path csv_fname header delimiter quoting valid_pct fn_col label_delim valid_col",
    "ImageDataLoaders.from_lists": "path fnames labels valid_pct seed y_block item_tfms batch_tfms img_cls bs",
    "SegmentationDataLoaders.from_label_func": "path fnames label_func valid_pct seed codes item_tfms batch_tfms",
    "DataBlock": "blocks dl_type getters n_inp item_tfms batch_tfms get_items splitter get_y get_x",
    "DataBlock.datasets": "source verbose",
    "DataBlock.dataloaders": "source path verbose bs val_bs shuffle device drop_last",
    "DataBlock.summary": "source bs show_batch",
    "DataBlock.new": "item_tfms batch_tfms",
    "DataBlock.from_columns": "blocks getters get_items",
    "DataBlock.weighted_dataloaders": "source wgts bs",
    "DataLoaders.show_batch": "b max_n ctxs show unique nrows ncols figsize",
    "DataLoaders.test_dl": "test_items rm_type_tfms with_labels bs num_workers",
    "DataLoader": "dataset bs num_workers pin_memory timeout batch_size shuffle drop_last device",
    "Learner": "dls model loss_func opt_func lr splitter cbs metrics path model_dir wd wd_bn_bias train_bn moms "
               "default_cbs",
    "Learner.fit": "n_epoch lr wd cbs reset_opt start_epoch",
    "Learner.fit_one_cycle": "n_epoch lr_max div div_final pct_start wd moms cbs reset_opt start_epoch",
    "Learner.fine_tune": "epochs base_lr freeze_epochs lr_mult pct_start div wd moms cbs reset_opt start_epoch",
    "Learner.fit_flat_cos": "n_epoch lr div_final pct_start wd cbs reset_opt start_epoch",
    "Learner.fit_sgdr": "n_cycles cycle_len lr_max cycle_mult cbs reset_opt wd start_epoch",
    "Learner.lr_find": "start_lr end_lr num_it stop_div show_plot suggest_funcs",
    "Learner.validate": "ds_idx dl cbs",
    "Learner.get_preds": "ds_idx dl with_input with_decoded with_loss act inner reorder cbs with_preds with_targs",
    "Learner.predict": "item rm_type_tfms with_input",
    "Learner.tta": "ds_idx dl n item_tfms batch_tfms beta use_max",
    "Learner.show_results": "ds_idx dl max_n shuffle",
    "Learner.save": "file with_opt",
    "Learner.load": "file device with_opt strict",
    "Learner.freeze_to": "n",
    "vision_learner": "dls arch normalize n_out pretrained weights loss_func opt_func lr splitter cbs metrics path "
                      "model_dir wd wd_bn_bias train_bn moms cut init custom_head concat_pool pool lin_ftrs ps "
                      "first_bn bn_final lin_first y_range n_in",
    "unet_learner": "dls arch normalize n_out pretrained weights config loss_func opt_func metrics wd blur blur_final "
                    "self_attention y_range last_cross bottle act_cls norm_type n_in",
    "load_learner": "fname cpu",
    "create_head": "nf n_out lin_ftrs ps pool concat_pool first_bn bn_final lin_first y_range",
    "aug_transforms": "mult do_flip flip_vert max_rotate min_zoom max_zoom max_lighting max_warp p_affine p_lighting "
                      "xtra_tfms size mode pad_mode align_corners batch min_scale",
    "Resize": "size method pad_mode",
    "RandomResizedCrop": "size min_scale ratio val_xtra max_scale",
    "RandomResizedCropGPU": "size min_scale ratio valid_scale max_scale",
    "RandomErasing": "p sl sh min_aspect max_count",
    "Rotate": "max_deg p draw size mode pad_mode align_corners batch",
    "Zoom": "min_zoom max_zoom p draw draw_x draw_y size mode pad_mode batch align_corners",
    "Warp": "magnitude p draw_x draw_y size mode pad_mode batch align_corners",
    "Flip": "p draw size mode pad_mode align_corners batch",
    "Brightness": "max_lighting p draw batch",
    "Normalize.from_stats": "mean std dim ndim cuda",
    "SGD": "params lr mom wd decouple_wd",
    "Adam": "params lr mom sqr_mom eps wd decouple_wd",
    "RAdam": "params lr mom sqr_mom eps wd beta decouple_wd",
    "ranger": "params lr mom wd eps k alpha sqr_mom decouple_wd",
    "OptimWrapper": "params opt hp_map convert_groups",
    "Optimizer": "params cbs",
    "Lookahead": "opt k alpha",
    "MixUp": "alpha", "CutMix": "alpha", "GradientAccumulation": "n_acc", "GradientClip": "max_norm norm_type",
    "EarlyStoppingCallback": "monitor comp min_delta patience reset_on_fit",
    "SaveModelCallback": "monitor comp min_delta fname every_epoch at_end with_opt reset_on_fit",
    "ReduceLROnPlateau": "monitor comp min_delta patience factor min_lr reset_on_fit",
    "CSVLogger": "fname append", "ShortEpochCallback": "pct short_valid", "ParamScheduler": "scheds",
    "CrossEntropyLossFlat": "axis weight ignore_index reduction", "FocalLossFlat": "gamma axis weight reduction",
    "BCEWithLogitsLossFlat": "axis floatify thresh weight reduction pos_weight",
    "LabelSmoothingCrossEntropy": "eps weight reduction",
    "AccumMetric": "func dim_argmax activation thresh to_np invert_arg flatten name",
    "ClassificationInterpretation.from_learner": "learn ds_idx dl",
    "ClassificationInterpretation.plot_top_losses": "k largest",
    "ClassificationInterpretation.most_confused": "min_val",
    "show_image": "im ax figsize title ctx cmap", "show_images": "ims nrows ncols titles figsize imsize suptitle",
    "download_images": "dest url_file urls max_pics n_workers timeout preserve_filename",
    "resize_images": "path max_workers max_size recurse dest n_channels ext resume",
    "untar_data": "url archive data c_key force_download base",
    "get_image_files": "path recurse folders", "RandomSplitter": "valid_pct seed", "ColSplitter": "col on",
    "ColReader": "cols pref suff label_delim", "RegexLabeller": "pat match",
}  # fmt: skip
DATA = (
    "bs val_bs shuffle device drop_last item_tfms batch_tfms img_cls num_workers valid_pct fn_col label_delim valid_col"
)
OTHERS = {*DATA.split(), *inspect.signature(Learner).parameters}
"""What `**options` takes."""


@pytest.mark.parametrize("name", SAME)
def test_arguments_have_fastais_names_and_order(name):
    found = facade
    for part in name.split("."):
        found = getattr(found, part)
    ours = inspect.signature(found).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in ours.values())
    wanted = SAME[name].split()
    missing = [arg for arg in wanted if arg not in ours and not (open_ended and arg in OTHERS)]
    assert missing == []
    positional = [arg for arg, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD and arg != "self"]
    first = [arg for arg in positional if arg in wanted][:5]
    assert first == [arg for arg in wanted if arg in positional][:5]


NAMES = """
    L Path np pd plt torch nn F Image partial tensor array first noop ifnone store_attr listify
    URLs imagenet_stats PILImage PILImageBW PILMask TensorImage TensorMask TensorPoint TensorBBox TensorCategory
    ImageBlock CategoryBlock MultiCategoryBlock RegressionBlock MaskBlock PointBlock BBoxBlock BBoxLblBlock
    TransformBlock GrandparentSplitter IndexSplitter FuncSplitter FileSplitter EndSplitter MaskSplitter
    RandomSubsetSplitter TrainTestSplitter parent_label ItemGetter AttrGetter using_attr get_annotations FlipItem
    DihedralItem RandomCrop CropPad RatioResize ResizeMethod PadMode Dihedral DeterministicDihedral
    DeterministicFlip Contrast Saturation Hue ToTensor IntToFloatTensor resnet18 resnet34 resnet50 xresnet50
    densenet121 vgg16_bn mobilenet_v2 convnext_tiny cnn_learner create_body params Module Flatten ConvLayer
    SigmoidRange sigmoid_range AdaptiveConcatPool2d hook_output hook_outputs model_sizes num_features_model
    TerminateOnNaNCallback BnFreeze MCDropoutCallback GatherPredsCallback FetchPredsCallback ActivationStats
    ShowGraphCallback ProgressCallback ChannelsLast MixedPrecision CancelFitException CancelBatchException
    CancelTrainException CancelValidException CancelEpochException CancelStepException CancelBackwardException
    combine_scheds combined_cos SchedLin SchedCos SchedExp SchedNo SchedPoly valley slide minimum steep
    SuggestionMethod Interpretation SegmentationInterpretation verify_image verify_images resize_image resize_to
    show_titled_image subplots get_grid set_seed no_random plot_function model_summary default_device to_np
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_names_are_there(name):
    assert hasattr(facade, name)


def test_the_facade_only_imports():
    import ast
    from pathlib import Path

    body = ast.parse(Path(facade.__file__).read_text()).body
    assert {type(node) for node in body[1:]} == {ast.Import, ast.ImportFrom}
