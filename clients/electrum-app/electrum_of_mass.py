#!/usr/bin/python3
"""Debian's Electrum, unchanged, on a chain of MASS: its network "regtest" is told the chain's genesis block, address
prefix and coin type, and then the program runs as it always does.

    MASS_GENESIS=<block id> MASS_PREFIX=dms electrum_of_mass.py --regtest ...
"""
import os
import runpy
import sys

from electrum import constants

network = constants.BitcoinRegtest
network.GENESIS = os.environ["MASS_GENESIS"]
network.SEGWIT_HRP = os.environ["MASS_PREFIX"]
network.BIP44_COIN_TYPE = 297

sys.argv[0] = "/usr/bin/electrum"
runpy.run_path(sys.argv[0], run_name="__main__")
