// Rows of bits, one a portal or one a place: one is written, two are read, within the cycle. Lookup tables that are memory do it.
//
// Nothing here is reset: who reads a row has written it before.
module bmu_portals_rows #(
    parameter int unsigned ROWS = 4,
    parameter int unsigned BITS = 32
) (
    input  logic            aclk,
    input  logic            write,
    input  logic [5:0]      write_row,
    input  logic [BITS-1:0] write_bits,
    input  logic [5:0]      a_row,
    output logic [BITS-1:0] a_bits,
    input  logic [5:0]      b_row,
    output logic [BITS-1:0] b_bits
);
    localparam int unsigned INDEX = ROWS > 1 ? $clog2(ROWS) : 1;

    logic [BITS-1:0] memory [2**INDEX];

    assign a_bits = memory[a_row[INDEX-1:0]];
    assign b_bits = memory[b_row[INDEX-1:0]];

    always_ff @(posedge aclk) if (write) memory[write_row[INDEX-1:0]] <= write_bits;

`ifdef FORMAL // a memory that a proof can look into
    logic [2**INDEX*BITS-1:0] seen;
    always_comb for (int i = 0; i < 2**INDEX; i++) seen[i*BITS +: BITS] = memory[i];
`endif

    if (INDEX < 6) begin : g_narrow
        wire unused = &{write_row[5:INDEX], a_row[5:INDEX], b_row[5:INDEX]};
    end
endmodule
