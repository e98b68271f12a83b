# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Every parameter of the programs: name, type, bounds, choices, value and meaning.

default_config.yaml, --help and docs/parameters.md are made from this: `python -m
src.model_utils.describe`. The parameters of networks stand in `src.model_utils.networks`.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from src.model_utils.networks import Network, ResNetConfig
from src.model_utils.parameter_types import (
    LARGEST_INPUT_SIDE,
    BatchSize,
    Count,
    CountOrAll,
    Entries,
    FileName,
    Index,
    NonNegative,
    OutputResolution,
    Positive,
    Probability,
    Resolution,
    Scale,
    Section,
    Triple,
    derived,
    says,
)
from src.model_utils.pose_parameters import PoseConfig
from src.tasks import TASKS
from src.tasks.task import Task

# MindSpore's dynamic loss scaling starts at 2^24 and ends at 1; here they are its bounds.
SMALLEST_LOSS_SCALE, LARGEST_LOSS_SCALE = 1.0, 2.0**24


def _known(task: str) -> str:
    if task not in TASKS:
        raise PydanticCustomError("task", "choose one of " + ", ".join(TASKS))
    return task


_COCO_CLASSES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra,
giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite,
baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut,
cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush
"""


class DatasetConfig(Section):
    """The section dataset_config."""

    num_classes: Entries = says(None, "number of categories; that of coco_classes")
    max_objs: Entries = says(128, "largest number of objects of one image")
    input_res_train: Resolution = says(
        [512, 512], "height and width of the network input in training"
    )
    output_res: OutputResolution = says(
        None, "height and width of the network output in training; the network says it"
    )
    input_res_test: Resolution = says(
        [680, 680],
        "height and width of the network input at fixed resolution and in the exported model",
        fact="usual",
    )
    exact_sides: bool = says(
        False,
        "Gaussian radii from the sides of boxes as they are, which end at the border (TensorFlow), "
        "else from sides rounded up of boxes that end in the last cell's corner (original)",
    )
    rand_crop: bool = says(
        True, "crop at random (scales 0.6 to 1.3 of the longer side) instead of shift and scale"
    )
    crop_of: Literal["image", "input"] = says(
        "image",
        "what the scales of rand_crop are of: the image's longer side, fitted into input_res_train "
        "(original), or input_res_train in pixels of the image, at a place where the middle of an "
        "object is inside; others are no objects of the crop (CornerNet)",
    )
    shift: Probability = says(
        0.1,
        "standard deviation of the random shift, as a part of the longer side, clipped at "
        "twice its value",
    )
    scale: Annotated[float, Field(ge=0, lt=1)] = says(
        0.4, "standard deviation of the random scale, clipped at its value"
    )
    aug_rot: Probability = says(0.0, "probability that an image is rotated")
    rotate: Annotated[float, Field(ge=0, le=180)] = says(
        0.0, "standard deviation of the rotation in degrees, clipped at twice its value"
    )
    flip_prop: Probability = says(0.5, "probability that an image is mirrored")
    color_aug: bool = says(True, "jitter colours as color_jitter says")
    color_jitter: Literal["lighting", "photometric"] = says(
        "lighting",
        "brightness, contrast, saturation and lighting, always (original), or brightness, "
        "contrast, saturation, hue and channel order, each in every second image (MMDetection)",
    )
    border: Literal["black", "mean"] = says(
        "black",
        "colour around images in the network input; mean is the one of `mean` in whole numbers, in "
        "training before the jitter that makes that of it (CornerNet)",
        fact="changed",
    )
    coco_classes: list[str] = says(
        " ".join(_COCO_CLASSES.split()).split(", "),
        "names of the categories, a class index is the position in this list; [] takes them from "
        "the annotation file",
        fact="fixed",
    )
    channel_order: Literal["BGR", "RGB"] = says(
        "BGR", "order of the colours that the network takes; mean and std are in it", fact="fixed"
    )
    mean: Triple = says(
        [0.40789654, 0.44719302, 0.47026115],
        "mean of the colours of images scaled to 0..1, in channel_order",
        fact="fixed",
    )
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)] = says(
        [0.28863828, 0.27408164, 0.27809835],
        "standard deviation of the colours of images scaled to 0..1, in channel_order",
        fact="fixed",
    )
    eig_val: Triple = says(
        [0.2141788, 0.01817699, 0.00341571],
        "eigenvalues of the BGR covariance, for lighting jitter",
    )
    eig_vec: Annotated[list[Triple], Field(min_length=3, max_length=3)] = says(
        [
            [-0.58752847, -0.69563484, 0.41340352],
            [-0.5832747, 0.00994535, -0.81221408],
            [-0.56089297, 0.71832671, 0.41158938],
        ],
        "eigenvectors (rows as the original lists them), for lighting jitter",
    )
    train_annotation: str = says(
        "annotations/instances_train2017.json", "training annotations, below the data set folder"
    )
    train_keypoints: str = says(
        "",
        "annotations with the points of those in train_annotation, by their ids, where that has "
        "none (TensorFlow's 90 classes: annotations/person_keypoints_train2017.json)",
    )
    train_images: str = says("train2017", "training images, below the data set folder")
    val_annotation: str = says(
        "annotations/instances_val2017.json", "validation annotations, below the data set folder"
    )
    val_keypoints: str = says(
        "",
        "as train_keypoints, of the validation annotations "
        "(annotations/person_keypoints_val2017.json)",
    )
    val_images: str = says("val2017", "validation images, below the data set folder")
    test_annotation: str = says(
        "annotations/image_info_test-dev2017.json",
        "image list of run_mode test, below the data set folder",
    )
    test_images: str = says("test2017", "test images, below the data set folder")
    keep_empty_images: bool = says(
        False, "convert images without boxes too; training sees only background in them"
    )
    min_side: Index = says(
        0, "convert no images with a side of fewer pixels (MMDetection takes those from 32 on)"
    )
    skip_crowd: bool = says(
        False,
        "leave out boxes marked iscrowd, which stand for groups; the original and TensorFlow train "
        "on them, in poses as on objects without points",
    )
    other_classes: Literal["fail", "leave_out"] = says(
        "fail",
        "fail if the annotations use a category that coco_classes lacks, or leave_out its "
        "boxes (training on some of the categories)",
    )
    turn_by_exif: bool = says(
        False,
        "turn images by their EXIF orientation, as labelling tools show them; else boxes "
        "count in stored pixels, as in pycocotools",
        fact="usual",
    )
    take_damaged_jpegs: bool = says(
        False,
        "take JPEGs whose pixels are cut off or damaged as far as they decode, else they "
        "count as unusable",
    )
    num_shards: Annotated[int, Field(ge=1, le=1000)] = says(8, "number of MindRecord files")
    num_workers: Annotated[int, Field(ge=0, le=1024)] = says(
        0, "threads that decode and warp; 0 takes one for each core that a process has"
    )
    image_backend: Literal["cv2", "mmcv"] = says("cv2", "library that decodes images")

    @model_validator(mode="after")
    def _derive(self) -> "DatasetConfig":
        names = self.coco_classes
        if len(set(names)) != len(names):
            raise ValueError("coco_classes names a category twice; list each once")
        if names:
            found = derived(
                self.num_classes,
                len(names),
                "dataset_config.num_classes",
                f"dataset_config.coco_classes ({', '.join(names[:3])}, ...)",
            )
            object.__setattr__(self, "num_classes", found)  # frozen for everybody else
        return self


class AdamConfig(Section):
    """The section train_config.Adam."""

    weight_decay: NonNegative = says(0.0, "factor of the L2 penalty added to the gradient")
    decay_filter: list[str] = says(
        [".bias", ".beta", ".gamma"], "endings of the names of parameters that are not decayed"
    )


class PolyDecayConfig(Section):
    """The section train_config.PolyDecay."""

    learning_rate: Positive = says(0.0005, "initial learning rate")
    end_learning_rate: NonNegative = says(5e-07, "final learning rate")
    power: Positive = says(5.0, "exponent of the decay")
    eps: Positive = says(1e-07, "Adam's epsilon")
    warmup_steps: Index = says(2000, "updates over which the learning rate rises linearly")


class MultiDecayConfig(Section):
    """The section train_config.MultiDecay."""

    learning_rate: Positive = says(0.00048, "initial learning rate")
    eps: Positive = says(1e-07, "Adam's epsilon")
    warmup_steps: Index = says(2000, "updates over which the learning rate rises linearly")
    warmup_learning_rate: NonNegative = says(
        None, "learning rate of the first update; learning_rate / warmup_steps if empty"
    )
    multi_epochs: Annotated[list[Count], Field(max_length=1000)] = says(
        [290, 320], "epochs after which the learning rate is divided by factor"
    )
    multi_steps: Annotated[list[Count], Field(max_length=1000)] = says(
        [], "updates after which it is, instead of multi_epochs, where any are given"
    )
    factor: Positive = says(10, "divisor of the learning rate")

    @model_validator(mode="after")
    def _check(self) -> "MultiDecayConfig":
        if self.warmup_learning_rate is None:
            first = self.learning_rate / max(1, self.warmup_steps)
            object.__setattr__(self, "warmup_learning_rate", first)  # frozen for everybody else
        return self


class CosineDecayConfig(Section):
    """The section train_config.CosineDecay."""

    learning_rate: Positive = says(0.001, "learning rate after the warm-up")
    eps: Positive = says(1e-07, "Adam's epsilon")
    warmup_steps: Index = says(5000, "updates over which the learning rate rises linearly")
    warmup_learning_rate: NonNegative = says(0.00025, "learning rate of the first update")


class TrainConfig(Section):
    """The section train_config."""

    batch_size: BatchSize = says(32, "images of one step on one device")
    accumulate_steps: Count = says(
        1,
        "batches whose mean gradient makes one update of the weights; learning rate schedules"
        " and warm-up count updates",
    )
    amp_level: Literal["O0", "O2", "O3"] = says(
        "O0",
        "O0 computes in float32 as far as the chip does (docs/ascend.md); O2 the network in "
        "float16 but for BatchNorm and deformable convolutions; O3 but for BatchNorm (not on "
        "a CPU)",
    )
    loss_scale: Literal["fixed", "dynamic"] = says(
        "fixed",
        "keep the loss scale, or halve it at each overflow and double it after scale_window "
        "updates without one",
    )
    loss_scale_value: Positive = says(
        1024, "factor on the loss before the gradients are taken; the first one if dynamic"
    )
    scale_window: Count = says(
        2000, "updates without overflow after which a dynamic loss scale doubles"
    )
    clip_norm: NonNegative = says(
        0.0,
        "largest norm of all gradients together, longer ones are shortened to it; 0 leaves them",
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = says(
        0.0,
        "decay of an exponential moving average of the weights, written as centernet_ema-"
        "EPOCH_STEP.ckpt beside each checkpoint and evaluated by eval_interval; 0 keeps none",
    )
    ema_kind: Literal["plain", "threshold"] = says(
        "plain",
        "averages begin as the first weights (plain), or as zeros, with a decay of at most (1 + t) "
        "/ (10 + t) behind t updates, and are divided by 1 - decay^t where they are read "
        "(threshold, PaddleDetection)",
    )
    fixed_parameters: list[str] = says(
        [],
        "shell patterns of the names of parameters that are not trained, such as features.backbone"
        ".*.gamma; BatchNorm's statistics move all the same",
    )
    sync_norm: bool = says(
        False,
        "normalise by the statistics of a step's images on all devices together, else by those of "
        "each device",
    )
    max_bad_steps: Index = says(
        100,
        "stop after so many batches in a row whose loss is not finite, or that overflow at a "
        "loss scale that cannot be lowered; 0 never stops",
    )
    optimizer: Literal["Adam"] = says("Adam", "optimizer")
    lr_schedule: Literal["MultiDecay", "PolyDecay", "CosineDecay"] = says(
        "MultiDecay", "learning rate schedule; its numbers are in the section of its name"
    )
    scale_learning_rate: bool = says(
        False,
        "multiply the learning rate by the images of one update on all devices over "
        "reference_batch_size",
    )
    reference_batch_size: Count = says(
        256, "images of one update that the learning rates are written for"
    )
    Adam: AdamConfig = Field(default_factory=AdamConfig)
    PolyDecay: PolyDecayConfig = Field(default_factory=PolyDecayConfig)
    MultiDecay: MultiDecayConfig = Field(default_factory=MultiDecayConfig)
    CosineDecay: CosineDecayConfig = Field(default_factory=CosineDecayConfig)

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        is_bounded = SMALLEST_LOSS_SCALE <= self.loss_scale_value <= LARGEST_LOSS_SCALE
        if self.loss_scale == "dynamic" and not is_bounded:
            raise ValueError(
                f"train_config.loss_scale_value {self.loss_scale_value:g} is outside "
                f"{SMALLEST_LOSS_SCALE:g} to {LARGEST_LOSS_SCALE:g}, the bounds of a dynamic loss "
                "scale; choose one inside"
            )
        return self


class EvalConfig(Section):
    """The section eval_config."""

    SOFT_NMS: bool = says(
        True, "rescore overlapping boxes of a class by Gaussian soft-NMS", fact="usual"
    )
    soft_nms_form: Literal["original", "mmcv"] = says(
        "original",
        "original counts a side as x2 - x1 + 1 and drops boxes that others bring below 0.001, mmcv "
        "as x2 - x1 and drops all below 0.001 but the best",
        fact="changed",
    )
    keep_res: bool = says(
        True, "feed images at their own resolution, padded, instead of input_res_test", fact="usual"
    )
    placement: Literal["centred", "corner", "corner_half_pixel"] = says(
        "centred",
        "where images sit in input_res_test, in its middle or, resized as TensorFlow does, in its "
        "top left corner, with output pixel i at i · in / out (the zoo) or by the pixels' middles "
        "(half_pixel, the Model Garden)",
        fact="usual",
    )
    pad: Annotated[int, Field(ge=31, le=4095)] = says(
        127,
        "keep_res pads each side to (side | pad) + 1; 127 as ModelZoo, 31 as the original",
        fact="usual",
    )
    exact_padding: bool = says(
        True,
        "take the padding of keep_res off as it was put on, else half of it on each side, so that "
        "boxes of images with an odd side lie half a pixel to the right or below (PaddleDetection)",
        fact="changed",
    )
    pad_to: Literal["even", "odd"] = says(
        "even",
        "odd leaves out that 1: sides of side | pad, as 511 of 480 with pad 127 (CornerNet)",
        fact="changed",
    )
    multi_scales: Annotated[list[Scale], Field(min_length=1, max_length=100)] = says(
        [1.0], "scales at which each image is detected"
    )
    flip_test: bool = says(
        False,
        "also detect in the mirrored image, and take the mean of heat and size, or of pairs of "
        "corners those of both, rescored by soft-NMS together",
    )
    batch_size: BatchSize = says(8, "images to the network at once, where keep_res is false")
    K: Count = says(100, "number of boxes kept from one image")
    score_thresh: Probability = says(
        0.3, "smallest score drawn in pictures; --score_thresh is the same", fact="usual"
    )
    num_images: CountOrAll = says(-1, "evaluate only the first so many images; -1 is all")
    coco_backend: Literal["pycocotools", "faster-coco-eval"] = says(
        "pycocotools",
        "library that computes AP; faster-coco-eval (pip install -r requirements/faster-coco-"
        "eval.txt) gives the same numbers in less time",
    )


class ExportConfig(Section):
    """The section export_config."""

    batch_size: BatchSize = says(1, "images of one run of the exported model")
    input_dtype: Literal["float32", "uint8"] = says(
        "float32", "float32 takes normalised images, uint8 takes plain BGR and normalises inside"
    )
    deformable: Literal["gather", "grid_sample"] = says(
        "gather",
        "form of the deformable convolution in the exported model; Ascend 310 and 310P have "
        "all kernels of gather, 910B and 910C also of grid_sample",
    )


def _grid_size(net: Network, size: Sequence[int], where: str) -> tuple[int, int]:
    """The network's grid for an input; an error names the parameter that asks for it."""
    try:
        return net.grid_size(size)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


class Config(Section):
    """Every parameter of the programs; the names are the ModelZoo document's."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def origins(self) -> dict[str, str]:
        """Where values are given, by the names of the parameters that are."""
        return self._origins

    @property
    def task_facts(self) -> Task:
        """The facts of the task, with the points that are configured."""
        return self.pose.task if self.pose else TASKS[self.task]

    @property
    def pose(self) -> PoseConfig | None:
        """net_config.pose, where that is the task."""
        return self.net_config.pose if self.task == "pose" else None

    @property
    def rows(self) -> int:
        """K, rows of a model's detections."""
        return attrgetter(self.task_facts.rows)(self)

    @property
    def peaks(self) -> tuple[str, int]:
        """How many peaks are looked for in the heat maps of an image, behind its parameter."""
        name = self.task_facts.peaks
        return name, attrgetter(name)(self)

    @property
    def has_points(self) -> list[bool]:
        """Of each class, whether its objects have points."""
        names, chosen = self.dataset_config.coco_classes, self.net_config.pose.classes
        if self.task != "pose" or not chosen:
            return [self.task_facts.points > 0] * (self.dataset_config.num_classes or 0)
        return [name in chosen for name in names]

    @property
    def models(self) -> list[str]:
        """The parameters by which a model is given, of those that predict.py and eval.py take."""
        names = ("load_checkpoint_path", "load_mindir_path", "load_onnx_path")
        return [name for name in names if getattr(self, name)]

    enable_modelarts: bool = says(
        False,
        "run as a ModelArts job (copy data in and results out by its URLs)",
        heading='ModelArts (see README, "ModelArts")',
    )
    data_url: str = says("", "ModelArts: where the data set is stored")
    train_url: str = says("", "ModelArts: where the results are stored")
    checkpoint_url: str = says("", "ModelArts: where the checkpoint to load is stored")
    data_path: str = says("/cache/data", "ModelArts: local folder for the data set")
    output_path: str = says("/cache/train", "ModelArts: local folder for the results")
    load_path: str = says("/cache/checkpoint_path", "ModelArts: local folder for the checkpoint")

    device_target: Literal["auto", "Ascend", "GPU", "CPU"] = says(
        "auto",
        "device to run on; auto takes an Ascend where MindSpore finds one, else the CPU",
        heading="Device",
    )
    device_id: Index = says(0, "index of the device on this machine")
    device_num: Count = says(1, "number of devices that train or evaluate together")
    distribute: bool = says(
        True,
        "train or evaluate on device_num devices, started by one of the launchers; with one device "
        "it changes nothing",
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = says(
        317, "seed of initial weights, shuffling and augmentation"
    )

    coco_data_dir: str = says(
        "", "folder of the data set in COCO layout", heading="src/dataset.py: COCO to MindRecord"
    )
    mindrecord_dir: str = says("", "folder of the MindRecord files")
    mindrecord_prefix: FileName = says(
        "coco_det.train.mind", "file name of the MindRecord files, before the shard number"
    )
    on_bad_record: Literal["fail", "skip"] = says(
        "fail",
        "list all unusable images and annotations, then fail, or leave them out and count them",
    )
    verify: bool = says(
        False, "check a converted set wholly instead of converting; needs mindrecord_dir only"
    )

    need_profiler: bool = says(
        False, "write MindSpore's profile of the training", heading="train.py"
    )
    profiler_path: str = says("", "folder of the profile; ./profiler if empty")
    epoch_size: Annotated[Count, Field(le=100_000)] = says(1, "number of epochs")
    train_steps: Annotated[CountOrAll, Field(le=100_000_000)] = says(
        -1, "number of steps, whatever epoch_size says; -1 leaves it to epoch_size"
    )
    do_shuffle: bool = says(True, "shuffle the images anew in each epoch")
    enable_lossscale: bool = says(
        True, "scale the loss by train_config.loss_scale_value and skip steps that overflow"
    )
    enable_data_sink: bool = says(True, "let MindSpore feed the device from its own queue")
    data_sink_steps: CountOrAll = says(
        1, "steps between two returns to Python with data sink; -1 is a whole epoch"
    )
    enable_save_ckpt: bool = says(True, "write checkpoints")
    save_checkpoint_path: str = says(
        "", "folder of the checkpoints, in a folder ckpt_RANK of each process; . if empty"
    )
    load_checkpoint_path: str = says(
        "",
        "checkpoint, or weights of another project (docs/weights.md), to start from "
        "(train.py), to evaluate (eval.py) or to predict with (predict.py)",
    )
    resume: str = says(
        "",
        "go on with a stopped training, from this checkpoint or the newest intact one of this"
        " folder; alone, of save_checkpoint_path",
    )
    save_checkpoint_steps: Count = says(
        1000, "steps between two checkpoints; the last step always writes one"
    )
    save_checkpoint_num: Count = says(1, "number of newest checkpoints kept")
    eval_interval: Index = says(
        0,
        "epochs between two evaluations on data_dir during the training, and one at its end; "
        "0 is none",
    )
    enable_tensorboard: bool = says(
        False,
        "write TensorBoard event files (pip install -r requirements/tensorboard.txt) beside "
        "the checkpoints",
    )
    compile_cache_dir: str = says(
        "",
        "folder that keeps the compiled graph of a training for the next start; other code "
        "below src, MindSpore, device, number of devices, steps, dataset_config, net_config, "
        "train_config, loss scale or data sink compile anew; none if empty",
    )
    save_result_dir: str = says("", "folder of result files and pictures; . if empty")

    data_dir: str = says(
        "",
        "folder of the data set in COCO layout to evaluate on (eval.py; train.py with "
        "eval_interval)",
        heading="eval.py",
    )
    run_mode: Literal["val", "test"] = says(
        "val",
        "val computes AP from the annotations; test writes the result file for the COCO server",
    )
    visual_image: bool = says(
        False, "draw pictures (train.py, the first batch; eval.py, each image) into save_result_dir"
    )
    enable_eval: bool = says(True, "compute AP after prediction (run_mode val)")

    input: str = says(
        "",
        'image, video, folder (with all below it) or quoted pattern such as "shots/*.jpg" to '
        "predict on; address of a stream (rtsp://...) or number of a camera",
        heading="predict.py",
    )
    output: str = says("", "folder of predict.py's pictures and json; file that src.weights writes")
    max_seconds: NonNegative = says(
        0.0, "seconds after which predict.py leaves a stream or camera; 0 is not before it ends"
    )
    load_mindir_path: str = says(
        "",
        "exported model, for predict.py and eval.py instead of a checkpoint; preprocess.py takes "
        "what is known of it",
    )
    load_onnx_path: str = says(
        "",
        "the same of an exported ONNX file, which ONNX Runtime runs (pip install -r "
        "requirements/onnx.txt), without MindSpore",
    )

    source: str = says(
        "", "file of weights that src.weights reads", heading="python src/weights (writes output)"
    )
    to: Literal["ours", "original"] = says(
        "ours",
        "names and layout that src.weights writes, this project's (.ckpt, .safetensors) or "
        "the original CenterNet's (.pth, .safetensors)",
    )
    allow_missing: bool = says(False, "write weights of a part of the network too")

    export_format: Literal["MINDIR", "ONNX"] = says(
        "MINDIR",
        "file format of the exported model; ONNX needs pip install -r requirements/onnx.txt",
        heading="export.py",
    )
    export_load_ckpt: str = says("", "checkpoint to export")
    export_name: str = says("centernet", "file to write, without its ending")
    mindir_version: Literal[0, 1] = says(
        0,
        "version of the MINDIR format; 0 is what this MindSpore writes, 1 is for runtimes "
        "that read only that",
    )

    val_data_dir: str = says(
        "",
        "folder of the data set in COCO layout that ascend310_infer runs on",
        heading="preprocess.py and postprocess.py",
    )
    predict_dir: str = says("", "folder that preprocess.py fills")
    input_format: Literal["bin", "image"] = says(
        "bin",
        "preprocess.py writes warped images for the application, or a list of the images, "
        "which it then warps itself",
    )
    result_path: str = says("", "folder with the application's result files")
    result_json: str = says(
        "", "COCO result file that the application wrote, instead of result_path"
    )
    label_path: str = says("", "annotation file; that of val_data_dir if empty")
    meta_path: str = says("", "meta file or folder written by preprocess.py")
    save_path: str = says("", "folder for the result json")

    task: Annotated[str, AfterValidator(_known)] = says(
        "boxes", "what the network finds; src/tasks lists it", heading="Model", fact="fixed"
    )
    dataset_config: DatasetConfig = Field(default_factory=DatasetConfig)
    net_config: Network = Field(default_factory=ResNetConfig)
    train_config: TrainConfig = Field(default_factory=TrainConfig)
    eval_config: EvalConfig = Field(default_factory=EvalConfig)
    export_config: ExportConfig = Field(default_factory=ExportConfig)

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if self.compile_cache_dir and self.eval_interval > 0:
            raise ValueError(
                "compile_cache_dir keeps the graph of the training, and with eval_interval there "
                "are others; leave out one of them"
            )
        dataset, net, evaluation = self.dataset_config, self.net_config, self.eval_config
        if self.task == "pose" and dataset.coco_classes:  # else the model's, of which more is known
            net.pose.find_classes(dataset.coco_classes)
        if self.task == "corners" and net.mse_loss:
            raise ValueError(
                "task corners has a focal loss alone; set net_config.mse_loss to false"
            )
        at = f"input_res_train {dataset.input_res_train}"
        found = derived(
            dataset.output_res,
            list(_grid_size(net, dataset.input_res_train, f"dataset_config.{at}")),
            "dataset_config.output_res",
            f"network {net.network} with {at}",
        )
        object.__setattr__(dataset, "output_res", found)  # frozen for everybody else
        # The grid must not reach beyond the input, and the mirrored one at the other end.
        flips = evaluation.flip_test and not self.task_facts.stretched
        if evaluation.keep_res:
            if flips and evaluation.pad_to == "odd":
                raise ValueError(
                    f"eval_config.flip_test: the cells of task {self.task} do not end where inputs "
                    "of odd sides do; set eval_config.pad_to even"
                )
            smallest = [evaluation.pad + (evaluation.pad_to == "even")] * 2
            _grid_size(net, smallest, f"eval_config.pad {evaluation.pad}, which makes {smallest}")
        # Scale 1 is the exported model's, whatever keep_res is.
        for scale in [1.0] if evaluation.keep_res else [1.0, *evaluation.multi_scales]:
            size = [int(side * scale) for side in dataset.input_res_test]
            at = f"dataset_config.input_res_test {dataset.input_res_test} at scale {scale:g}"
            height, width = _grid_size(net, size, at)
            name, needed = self.peaks
            cells = (dataset.num_classes or needed) * height * width
            if cells < needed:
                raise ValueError(
                    f"{name} {needed} is more than the {cells} cells of the heat maps "
                    f"at {at}; lower it or leave that scale out of eval_config.multi_scales"
                )
            if max(size) > LARGEST_INPUT_SIDE:
                raise ValueError(
                    f"{at} has a side of more than {LARGEST_INPUT_SIDE} pixels; leave that scale "
                    "out of eval_config.multi_scales"
                )
            if flips and not evaluation.keep_res and any(side % net.stride for side in size):
                raise ValueError(
                    f"eval_config.flip_test: {at} is no multiple of the network's stride "
                    f"{net.stride}; choose sides that are, or keep_res"
                )
        return self
