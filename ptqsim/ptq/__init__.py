"""Post-training quantization of timm vision transformers; the one door to torch (extra ``[models]``)."""

from ptqsim.ptq.bundled import BUNDLED as BUNDLED
from ptqsim.ptq.calibrate import calibrate as calibrate
from ptqsim.ptq.capture import Captured as Captured
from ptqsim.ptq.capture import OperationData as OperationData
from ptqsim.ptq.capture import capture as capture
from ptqsim.ptq.checkpoint import load as load
from ptqsim.ptq.checkpoint import load_with_model as load_with_model
from ptqsim.ptq.data import Dataset as Dataset
from ptqsim.ptq.data import load_data as load_data
from ptqsim.ptq.data import sample_images as sample_images
from ptqsim.ptq.evaluate import Difference as Difference
from ptqsim.ptq.evaluate import Evaluation as Evaluation
from ptqsim.ptq.evaluate import difference as difference
from ptqsim.ptq.evaluate import evaluate as evaluate
from ptqsim.ptq.kept_layers import KeptLayers as KeptLayers
from ptqsim.ptq.mixed_precision import MixedPrecision as MixedPrecision
from ptqsim.ptq.models import check_device as check_device
from ptqsim.ptq.models import load_model as load_model
from ptqsim.ptq.onnx_export import ExportReport as ExportReport
from ptqsim.ptq.onnx_export import OnnxCheck as OnnxCheck
from ptqsim.ptq.onnx_export import check_onnx as check_onnx
from ptqsim.ptq.onnx_export import export_onnx as export_onnx
from ptqsim.ptq.quantized_model import QuantizedModel as QuantizedModel
from ptqsim.ptq.summary import describe as describe
from ptqsim.ptq.verify import Check as Check
from ptqsim.ptq.verify import verify as verify
