#!/usr/bin/env python3
"""Makes csr.json and soc.svd of a design with a free list, with LiteX from PyPI: pip install litex==2024.12 migen==0.10.0"""

from migen import *
from migen.genlib.fifo import SyncFIFO
from litex.build.generic_platform import GenericPlatform
from litex.soc.integration.export import get_csr_json, get_csr_svd
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect.csr import AutoCSR, CSRStatus, CSRStorage


class Buffers(Module, AutoCSR):
    """A queue of 512 buffer numbers: `pop` shows the oldest one, and a write to `ack` takes it."""

    def __init__(self):
        self.push = CSRStorage(32)
        self.ack = CSRStorage(1)
        self.flush = CSRStorage(1)
        self.pop = CSRStatus(32)
        self.level = CSRStatus(10)
        self.pushes = CSRStatus(64)
        fifo = ResetInserter()(SyncFIFO(32, 512))
        self.submodules += fifo
        self.comb += [fifo.din.eq(self.push.storage), fifo.we.eq(self.push.re), fifo.re.eq(self.ack.re),
                      fifo.reset.eq(self.flush.re), self.pop.status.eq(fifo.dout), self.level.status.eq(fifo.level)]
        self.sync += If(self.push.re, self.pushes.status.eq(self.pushes.status + 1))


if __name__ == "__main__":
    soc = SoCMini(GenericPlatform("none", []), clk_freq=100e6, with_timer=False)
    soc.submodules.buffers = Buffers()
    soc.add_csr("buffers")
    soc.finalize()
    open("csr.json", "w").write(get_csr_json(soc.csr_regions, soc.constants, soc.mem_regions) + "\n")
    open("soc.svd", "w").write(get_csr_svd(soc, description="A design with a free list"))
