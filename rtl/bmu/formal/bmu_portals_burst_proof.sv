// A burst of any ring, at any entry: where it lies, and that all of its entries have the phase of SPEC 6.3.
module bmu_portals_burst_proof (
    input logic [63:0] base,
    input logic [4:0]  log2,
    input logic [31:0] entry,
    input logic [4:0]  more   // entry `entry + more` of the burst
);
    logic [63:0] address;
    logic [4:0]  longest;
    logic        phase;
    bmu_portals_burst burst (.base, .log2, .entry, .address, .longest, .phase);

    wire [31:0] number = entry + {27'd0, more};
    wire [31:0] place  = number & ((32'd1 << log2) - 1);
    wire [31:0] lap    = number >> log2;
    wire [63:0] first  = address, last = address + {56'd0, longest, 3'd0} - 1;

    always_comb begin
        // A ring as SPEC 6.2 has it, of 2^3 to 2^20 entries, which does not reach over the end of memory.
        assume (base[5:0] == 0 & log2 >= 3 & log2 <= 20 & base <= 64'hffff_ffff_ff00_0000);
        assume (more < longest);
        is_a_burst:  assert (longest >= 1 & longest <= 16);
        in_a_page:   assert (first[63:12] == last[63:12]);
        in_the_ring: assert (first >= base & last < base + (64'd8 << log2));
        at_its_place: assert (address + {56'd0, more, 3'd0} == base + {29'd0, place, 3'd0});
        has_phase:   assert (phase == ~lap[0]);
    end
endmodule
