"""Motion files for animators: one function writes them all, chosen by the end of the name."""

from bailando.motion.files.registry import FORMATS, FileFormat, file_format, write_motion

__all__ = ["FORMATS", "FileFormat", "file_format", "write_motion"]
