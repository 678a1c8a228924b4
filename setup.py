"""Keep a general remark of setuptools on editable installs out of what pip prints."""

import warnings

from setuptools import setup

# It is issued whenever the import name is not a folder on the path, whatever the checkout holds.
warnings.filterwarnings("ignore", message="Editable installation")

setup()
