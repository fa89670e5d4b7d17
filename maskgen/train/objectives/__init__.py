"""What is learned: objectives that wrap any encoder, from raw tokens or from batches that are masked already.

tokens --on_device--> ready batch ; ready batch --MLM, Electra--> sums of losses and of what is counted --> loss
"""

from maskgen.train.objectives.electra import Electra, ElectraResult
from maskgen.train.objectives.measured import Measured, Objective
from maskgen.train.objectives.mlm import MLM
from maskgen.train.objectives.scores import auc
from maskgen.train.objectives.tying import tie

__all__ = ["MLM", "Electra", "ElectraResult", "Measured", "Objective", "auc", "tie"]
