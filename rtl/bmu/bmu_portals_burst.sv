// How many entries of a ring go into one AXI burst, and where it begins (SPEC 6.3).
//
// A burst ends at a border of 128 bytes, so it never crosses one of 4 KiB, and at the ring's end, so all of its entries have
// the same phase. What comes out is of what came in three cycles before: the ring's size, its place, the sum.
module bmu_portals_burst (
    input  logic        aclk,
    input  logic        moves,   // from the next cycle on, what comes in is another
    input  logic [63:0] base,    // of the ring, a multiple of 64
    input  logic [4:0]  log2,    // of its entries
    input  logic [31:0] entry,   // the first one's number, from 0 since the portal was enabled
    output logic        settled, // what comes out is of what comes in now
    output logic [63:0] address,
    output logic [4:0]  longest, // entries that fit, 1 to 16
    output logic        phase    // of them all
);
    logic [31:0] low_bits, place;
    logic        is_upper, is_last, lap_is_even;
    logic [2:0]  age;

    assign settled = age[2];

    always_ff @(posedge aclk) begin
        age <= moves ? 3'd0 : {age[1:0], 1'b1};

        low_bits <= (32'd1 << log2) - 32'd1;

        // Rings begin at multiples of 64 and have 2^3 entries or more, so borders and ends lie at multiples of 8 entries.
        place       <= entry & low_bits;
        is_upper    <= base[6] ^ (entry[3] & low_bits[3]); // half of 128 bytes
        is_last     <= &(entry[31:3] | ~low_bits[31:3]);   // 8 entries of the ring
        lap_is_even <= (entry & {low_bits[30:0], 1'b1} & ~low_bits) == 32'd0;

        address <= base + {29'd0, place, 3'd0};
        longest <= (is_upper | is_last ? 5'd8 : 5'd16) - {2'd0, place[2:0]};
        phase   <= lap_is_even;
    end
endmodule
