// How many entries of a ring go into one AXI burst, and where it begins (SPEC 6.3).
//
// A burst ends at a border of 128 bytes, so it never crosses one of 4 KiB, and at the ring's end, so all of its entries have
// the same phase.
module bmu_portals_burst (
    input  logic [63:0] base,    // of the ring, a multiple of 64
    input  logic [4:0]  log2,    // of its entries
    input  logic [31:0] entry,   // the first one's number, from 0 since the portal was enabled
    output logic [63:0] address,
    output logic [4:0]  longest, // entries that fit, 1 to 16
    output logic        phase    // of them all
);
    wire [31:0] places = 32'd1 << log2;
    wire [31:0] low_bits = places - 32'd1;
    wire [31:0] place  = entry & low_bits;

    // Rings begin at multiples of 64 and have 2^3 entries or more, so borders and ends lie at multiples of 8 entries.
    wire is_upper = base[6] ^ place[3]; // half of 128 bytes
    wire is_last  = &(entry[31:3] | ~low_bits[31:3]); // 8 entries of the ring

    assign address = base + {29'd0, place, 3'd0};
    assign longest = (is_upper | is_last ? 5'd8 : 5'd16) - {2'd0, place[2:0]};
    assign phase   = (entry & places) == 32'd0; // the lap is even
endmodule
