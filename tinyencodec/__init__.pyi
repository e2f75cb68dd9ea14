# The public names: each is said here once. Type checkers read this file in place of `__init__.py`, which reads from
# it where each name lives.

from tinyencodec.audio.files import convert_audio as convert_audio
from tinyencodec.audio.files import read_audio as read_audio
from tinyencodec.audio.files import write_audio as write_audio
from tinyencodec.audio.reader import AudioReader as AudioReader
from tinyencodec.audio.writer import AudioWriter as AudioWriter
from tinyencodec.codec.config import CodecConfig as CodecConfig
from tinyencodec.codec.model import EncodecModel as EncodecModel
from tinyencodec.codec.segments import EncodedFrame as EncodedFrame
from tinyencodec.ecdc.codes_file import read_codes as read_codes
from tinyencodec.ecdc.codes_file import write_codes as write_codes
from tinyencodec.ecdc.compression import compress as compress
from tinyencodec.ecdc.compression import compress_stream as compress_stream
from tinyencodec.ecdc.compression import decompress as decompress
from tinyencodec.ecdc.compression import decompress_stream as decompress_stream
from tinyencodec.models.fetch import fetch_model as fetch_model
from tinyencodec.models.store import list_models as list_models
from tinyencodec.models.store import load_model as load_model
from tinyencodec.system.version import __version__ as __version__
from tinyencodec.tools.many_signals import decode_batch as decode_batch
from tinyencodec.tools.many_signals import encode_batch as encode_batch
from tinyencodec.tools.tokenize.dataset import TokenDataset as TokenDataset
from tinyencodec.tools.tokenize.dataset import open_dataset as open_dataset
