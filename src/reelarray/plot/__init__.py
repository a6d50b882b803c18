"""Pictures of recordings and spectra."""

from .spectrogram import GAP_COLOR, plot_area, plot_spectrogram, save_spectrogram

__all__ = ["GAP_COLOR", "plot_area", "plot_spectrogram", "save_spectrogram"]
