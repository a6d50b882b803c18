"""Pictures of recordings and spectra."""

from .spectrogram import GAP_COLOR, plot_area, plot_spectrogram, save_spectrogram
from .spectrum import plot_spectrum, save_spectrum

__all__ = ["GAP_COLOR", "plot_area", "plot_spectrogram", "plot_spectrum", "save_spectrogram", "save_spectrum"]
