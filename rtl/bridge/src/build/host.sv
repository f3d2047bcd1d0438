// The host's accesses as signals of the waveform, in a scope `host` of the design. hwpool-rtl sets them.
module hwpool_host;
  // 0 none, 1 read, 2 write, 3 reset
  logic [7:0] kind /*verilator public_flat_rw*/;
  logic [7:0] bar /*verilator public_flat_rw*/;
  logic [63:0] address /*verilator public_flat_rw*/;
  // What is written, or what was read: it is there when `kind` falls back to 0.
  logic [63:0] data /*verilator public_flat_rw*/;
endmodule
bind @TOP@ hwpool_host host ();
