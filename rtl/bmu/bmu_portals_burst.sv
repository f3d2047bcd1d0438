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
    wire [31:0] place  = entry & (places - 32'd1);
    wire [31:0] to_end = places - place;
    wire [4:0]  to_border = 5'd16 - {1'b0, address[6:3]};

    assign address = base + {29'd0, place, 3'd0};
    assign longest = to_end < {27'd0, to_border} ? to_end[4:0] : to_border;
    assign phase   = (entry & places) == 32'd0; // the lap is even
endmodule
