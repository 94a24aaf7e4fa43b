"""Post-training quantization of timm vision transformers and of DETR (extra ``[models]``).

Only this package of the library imports torch; formats, datapath and products do not depend on it.
"""

from ptqsim.ptq.calibration.calibrate import calibrate as calibrate
from ptqsim.ptq.calibration.layer_cache import LayerCache as LayerCache
from ptqsim.ptq.calibration.methods import BasePTQ as BasePTQ
from ptqsim.ptq.calibration.methods import BitSplit as BitSplit
from ptqsim.ptq.calibration.methods import EasyQuant as EasyQuant
from ptqsim.ptq.calibration.methods import Liu2021 as Liu2021
from ptqsim.ptq.calibration.methods import Method as Method
from ptqsim.ptq.calibration.methods import Percentile as Percentile
from ptqsim.ptq.calibration.methods import PTQ4ViT as PTQ4ViT
from ptqsim.ptq.calibration.methods import PTQ4ViTPlus as PTQ4ViTPlus
from ptqsim.ptq.calibration.methods import ReleasedPTQ4ViT as ReleasedPTQ4ViT
from ptqsim.ptq.calibration.methods.base_ptq import Metric as Metric
from ptqsim.ptq.calibration.methods.protocol import Paradigm as Paradigm
from ptqsim.ptq.calibration.methods.ptq4vit import WeightRounding as WeightRounding
from ptqsim.ptq.calibration.mixed_precision import MixedPrecision as MixedPrecision
from ptqsim.ptq.calibration.mixed_precision.options import Attention as Attention
from ptqsim.ptq.calibration.mixed_precision.options import Sensitivity as Sensitivity
from ptqsim.ptq.calibration.mixed_precision.options import Solver as Solver
from ptqsim.ptq.checkpoint import load_with_model as load_with_model
from ptqsim.ptq.datasets.compositing import DataSplit as DataSplit
from ptqsim.ptq.datasets.load import Dataset as Dataset
from ptqsim.ptq.datasets.load import load_data as load_data
from ptqsim.ptq.datasets.load import sample_images as sample_images
from ptqsim.ptq.datasets.load import sample_indices as sample_indices
from ptqsim.ptq.evaluation.difference import Difference as Difference
from ptqsim.ptq.evaluation.difference import Mean as Mean
from ptqsim.ptq.evaluation.difference import difference as difference
from ptqsim.ptq.evaluation.difference import paired_difference as paired_difference
from ptqsim.ptq.evaluation.evaluate import Evaluation as Evaluation
from ptqsim.ptq.evaluation.evaluate import Outputs as Outputs
from ptqsim.ptq.evaluation.evaluate import evaluate as evaluate
from ptqsim.ptq.evaluation.measure import measure as measure
from ptqsim.ptq.evaluation.operand_loss import OperandLoss as OperandLoss
from ptqsim.ptq.evaluation.operand_loss import operand_losses as operand_losses
from ptqsim.ptq.evaluation.verify import Check as Check
from ptqsim.ptq.evaluation.verify import verify as verify
from ptqsim.ptq.network.gradients import Gradient as Gradient
from ptqsim.ptq.network.operations import Mode as Mode
from ptqsim.ptq.network.quantized_model import QuantizedModel as QuantizedModel
from ptqsim.ptq.network.storage import load as load
from ptqsim.ptq.network.summary import describe as describe
from ptqsim.ptq.onnx_export import ExportReport as ExportReport
from ptqsim.ptq.onnx_export import OnnxCheck as OnnxCheck
from ptqsim.ptq.onnx_export import OtherFormats as OtherFormats
from ptqsim.ptq.onnx_export import check_onnx as check_onnx
from ptqsim.ptq.onnx_export import export_onnx as export_onnx
from ptqsim.ptq.search.candidates import GeluPair as GeluPair
from ptqsim.ptq.search.capture import Captured as Captured
from ptqsim.ptq.search.capture import OperationData as OperationData
from ptqsim.ptq.search.capture import capture as capture
from ptqsim.ptq.zoo.bundled import BUNDLED as BUNDLED
from ptqsim.ptq.zoo.models import check_device as check_device
from ptqsim.ptq.zoo.models import load_model as load_model
