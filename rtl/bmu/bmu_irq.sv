// Vectors: enabled, pending, and the message of each (SPEC 4.5, 8).
//
// A message waits until it is taken. One more of the vector waits for that a few cycles, so that each raise is a message of
// its own; where messages are held back for longer, as by a mask, it is told by the one that waits, as in MSI-X's pending bits.
module bmu_irq #(
    parameter int unsigned VECTORS = 8
) (
    input  logic               aclk,
    input  logic               clear,  // any reset
    input  logic               drop,   // a reset of the function: what waits isn't sent

    input  logic               valid,  // an access, until it is done
    input  logic               write,
    input  logic [7:0]         offset,
    input  logic [31:0]        data,
    output logic               done,
    output logic [31:0]        answer,

    input  logic               errors_raise, // who raises a vector: held until it is `ready`
    output logic               errors_ready,
    input  logic [4:0]         errors_vector,
    input  logic               pools_raise,
    output logic               pools_ready,
    input  logic [4:0]         pools_vector,
    input  logic               portals_raise,
    output logic               portals_ready,
    input  logic [4:0]         portals_vector,

    output logic [VECTORS-1:0] irq_valid,
    input  logic [VECTORS-1:0] irq_ready
);
    localparam logic [7:0] PENDING = 8'h00;
    localparam logic [7:0] ENABLE_SET = 8'h04;
    localparam logic [7:0] ENABLE_CLEAR = 8'h08;
    localparam logic [7:0] TRIGGER = 8'h0c;
    // Cycles in which a bridge that sends at all has taken a message.
    localparam logic [3:0] PATIENCE = 4'd15;

    logic [VECTORS-1:0] enabled, pending;
    logic [3:0]         waited;
    logic               is_late;
    logic               raises; // `vector`
    logic               was_quiet;
    logic [VECTORS-1:0] vector; // its bit; none for one that does not exist, which sends nothing and pends nowhere (SPEC 8)

    wire is_taken = raises & (~|(vector & enabled & irq_valid) | is_late);

    // Who raises, the first of them first, one at a time. A register is looked at when nobody does any more.
    wire triggers = valid & write & offset == TRIGGER;
    wire others   = errors_raise | pools_raise | portals_raise;
    assign errors_ready  = ~raises;
    assign pools_ready   = ~raises & ~errors_raise;
    assign portals_ready = ~raises & ~errors_raise & ~pools_raise;
    assign done          = valid & ~raises & ~others & was_quiet; // what it did is read

    logic [4:0]  number;
    wire  [31:0] one_hot = 32'd1 << number;
    always_comb begin
        if (errors_raise) number = errors_vector;
        else if (pools_raise) number = pools_vector;
        else if (portals_raise) number = portals_vector;
        else number = data[4:0];
    end

    always_ff @(posedge aclk) was_quiet <= ~raises & ~others;
    always_ff @(posedge aclk) begin
        if (clear) raises <= 1'b0;
        else raises <= raises ? ~is_taken : others | (triggers & was_quiet);
        if (~raises) vector <= one_hot[VECTORS-1:0];
    end

    wire writes  = done & write;
    wire enables = writes & offset == ENABLE_SET;
    wire [VECTORS-1:0] news = enables ? data[VECTORS-1:0] & ~enabled : '0;
    wire [VECTORS-1:0] acts = is_taken ? vector : '0;

    always_ff @(posedge aclk) begin
        if (clear) begin
            enabled <= '0;
            pending <= '0;
            waited  <= '0;
            is_late <= 1'b0;
        end else begin
            waited <= raises & ~is_taken ? waited + 1'b1 : '0;
            is_late <= raises & ~is_taken & waited == PATIENCE - 1'b1;
            enabled <= enabled | news;
            if (writes & offset == ENABLE_CLEAR) enabled <= enabled & ~data[VECTORS-1:0];
            pending <= (pending | (acts & ~enabled)) & ~news;
        end
    end

    wire [VECTORS-1:0] sends = clear ? '0 : (acts & enabled) | (pending & news);
    always_ff @(posedge aclk) irq_valid <= drop ? '0 : (irq_valid & ~irq_ready) | sends;

    logic [31:0] word;
    always_comb begin
        case (offset)
            PENDING:                  word = 32'(pending);
            ENABLE_SET, ENABLE_CLEAR: word = 32'(enabled);
            default:                  word = 32'd0;
        endcase
    end
    always_ff @(posedge aclk) answer <= word;

    wire unused = &{data, one_hot};
endmodule
