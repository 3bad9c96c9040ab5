"""Import this first: it makes the scripts of models/training importable."""
import sys
from pathlib import Path

TRAINING = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TRAINING))
