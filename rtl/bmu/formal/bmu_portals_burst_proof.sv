// A burst of any ring, at any entry: where it lies, and that all of its entries have the phase of SPEC 6.3. For all times, by
// induction over five steps, which is how long what comes in takes to come out.
module bmu_portals_burst_proof (
    input logic        aclk, moves,
    input logic [63:0] base,
    input logic [4:0]  log2,
    input logic [31:0] entry,
    input logic [4:0]  more   // entry `entry + more` of the burst
);
    logic [63:0] address;
    logic [4:0]  longest;
    logic        settled, phase;
    bmu_portals_burst burst (.aclk, .moves, .base, .log2, .entry, .settled, .address, .longest, .phase);

    // Nothing changes that is not told a cycle before.
    logic        began = 1'b0, moved = 1'b1;
    logic [63:0] was_base;
    logic [4:0]  was_log2;
    logic [31:0] was_entry;
    always_ff @(posedge aclk) {began, moved, was_base, was_log2, was_entry} <= {1'b1, moves, base, log2, entry};
    always_comb begin
        if (!began) assume (moves);
        if (!moved) assume (base == was_base & log2 == was_log2 & entry == was_entry);
    end

    wire [31:0] number = entry + {27'd0, more};
    wire [31:0] place  = number & ((32'd1 << log2) - 1);
    wire [31:0] lap    = number >> log2;
    wire [63:0] first  = address, last = address + {56'd0, longest, 3'd0} - 1;

    always_comb begin
        // A ring as SPEC 6.2 has it, of 2^3 to 2^20 entries, which does not reach over the end of memory.
        assume (base[5:0] == 0 & log2 >= 3 & log2 <= 20 & base <= 64'hffff_ffff_ff00_0000);
        if (began & settled) begin
            is_a_burst:  assert (longest >= 1 & longest <= 16);
            in_a_page:   assert (first[63:12] == last[63:12]);
            in_the_ring: assert (first >= base & last < base + (64'd8 << log2));
            if (more < longest) begin
                at_its_place: assert (address + {56'd0, more, 3'd0} == base + {29'd0, place, 3'd0});
                has_phase:   assert (phase == ~lap[0]);
            end
        end
    end
endmodule
