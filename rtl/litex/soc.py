#!/usr/bin/env python3
"""Writes a SoC of LiteX's own parts as Verilog, with csr.json: soc.py FOLDER

Registers behind an AXI4-Lite slave, the free list of describe/devices/litex, and a copy engine behind an AXI4-Lite master.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "describe/devices/litex"))

from migen import *
from litex.build.generic_platform import GenericPlatform, Pins
from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader, WishboneDMAWriter
from litex.soc.integration.export import get_csr_json
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import axi, wishbone
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceProcess

from make import Buffers


class Clocks(LiteXModule):
    """The one clock, and its reset."""

    def __init__(self, platform):
        self.cd_sys = ClockDomain()
        self.comb += [self.cd_sys.clk.eq(platform.request("clk")), self.cd_sys.rst.eq(platform.request("rst"))]


class Copier(LiteXModule):
    """What `reader` reads, `writer` writes; an event when it is done. Both want base, length and then enable."""

    def __init__(self):
        self.bus = wishbone.Interface(data_width=32, adr_width=30)
        reads, writes = wishbone.Interface(data_width=32, adr_width=30), wishbone.Interface(data_width=32, adr_width=30)
        self.reader = WishboneDMAReader(reads, with_csr=True)
        # Its data wait until it is enabled.
        self.writer = WishboneDMAWriter(writes)
        self.writer.add_ctrl(ready_on_idle=0)
        self.writer.add_csr()
        self.comb += self.reader.source.connect(self.writer.sink)
        self.arbiter = wishbone.Arbiter([reads, writes], self.bus)
        self.ev = EventManager()
        self.ev.done = EventSourceProcess(edge="rising")
        self.ev.finalize()
        self.comb += self.ev.done.trigger.eq(self.writer.done)


class Filled(LiteXModule):
    """An event when a list that was empty has a number."""

    def __init__(self, level):
        self.ev = EventManager()
        self.ev.filled = EventSourceProcess(edge="rising")
        self.ev.finalize()
        self.comb += self.ev.filled.trigger.eq(level != 0)


class Soc(SoCMini):
    def __init__(self):
        platform = GenericPlatform("none", [(name, 0, Pins(1)) for name in ("clk", "rst", "filled", "copied")])
        self.crg = Clocks(platform)
        # An access to nothing is answered after so many cycles: hwpool-rtl waits for `limit`, LiteX's own is a million.
        super().__init__(platform, clk_freq=100e6, with_timer=False, bus_timeout=1000,
                         ident="hwpool's SoC of LiteX's parts", ident_version=False)
        self.buffers = Buffers()
        self.filled = Filled(self.buffers.level.status)
        self.copier = Copier()
        self.comb += [platform.request("filled").eq(self.filled.ev.irq), platform.request("copied").eq(self.copier.ev.irq)]

        host = axi.AXILiteInterface(data_width=32, address_width=32)
        platform.add_extension(host.get_ios("s_axil"))
        self.comb += host.connect_to_pads(platform.request("s_axil"), mode="slave")
        self.bus.add_master("host", host)

        memory = axi.AXILiteInterface(data_width=32, address_width=32)
        platform.add_extension(memory.get_ios("m_axil"))
        self.comb += memory.connect_to_pads(platform.request("m_axil"), mode="master")
        self.to_memory = axi.Wishbone2AXILite(self.copier.bus, memory)


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
soc = Soc()
soc.finalize()
verilog = soc.platform.get_verilog(soc, name="soc")
# Without the date the same design is the same text, which is built once.
undated = "\n".join(line for line in verilog.main_source.splitlines() if not line.startswith("// Date"))
for name, text in [("soc.v", undated + "\n"), *verilog.data_files.items()]:
    (folder / name).write_text(text)
(folder / "csr.json").write_text(get_csr_json(soc.csr_regions, soc.constants, soc.mem_regions))
