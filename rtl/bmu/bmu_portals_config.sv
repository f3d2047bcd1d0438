// The locked registers of each portal (SPEC 4.7): a row a portal, looked at by the registers and by the engine.
module bmu_portals_config #(
    parameter int unsigned PORTALS = 4
) (
    input  logic        aclk,
    input  logic        wipe,          // the row becomes 0
    input  logic        write,         // of one register of 32 bits, or of a half
    input  logic [5:0]  row,           // written, and looked at
    input  logic [5:2]  register_,     // bits 5:2 of its offset
    input  logic [31:0] data,          // without reserved bits
    output logic [5:0]  pool,
    output logic [4:0]  release_log2,
    output logic [4:0]  acquire_log2,
    output logic [63:0] release_base,
    output logic [63:0] acquire_base,
    output logic [63:0] status_base,
    output logic [31:0] credits,
    output logic [31:0] hysteresis,

    input  logic [5:0]  engine_row,
    output logic [5:0]  engine_pool,
    output logic [4:0]  engine_release_log2,
    output logic [4:0]  engine_acquire_log2,
    output logic [63:0] engine_release_base,
    output logic [63:0] engine_acquire_base,
    output logic [63:0] engine_status_base,
    output logic [31:0] engine_credits,
    output logic [31:0] engine_hysteresis
);
    localparam int unsigned BITS = 272;
    logic [BITS-1:0] old, changed, engine_bits;

    bmu_portals_rows #(.ROWS(PORTALS), .BITS(BITS)) rows (
        .aclk, .write(write | wipe), .write_row(row), .write_bits(changed),
        .a_row(row), .a_bits(old), .b_row(engine_row), .b_bits(engine_bits)
    );

    assign {hysteresis, credits, status_base, acquire_base, release_base, acquire_log2, release_log2, pool} = old;
    assign {engine_hysteresis, engine_credits, engine_status_base, engine_acquire_base, engine_release_base,
        engine_acquire_log2, engine_release_log2, engine_pool} = engine_bits;

    always_comb begin
        changed = old;
        case (register_)
            4'h2:    changed[5:0]    = data[5:0];
            4'h3:    changed[15:6]   = {data[12:8], data[4:0]};
            4'h4:    changed[47:16]  = data;
            4'h5:    changed[79:48]  = data;
            4'h6:    changed[111:80] = data;
            4'h7:    changed[143:112] = data;
            4'h8:    changed[175:144] = data;
            4'h9:    changed[207:176] = data;
            4'ha:    changed[239:208] = data;
            4'hb:    changed[271:240] = data;
            default: ;
        endcase
        if (wipe) changed = '0;
    end
endmodule
