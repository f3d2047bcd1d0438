// Which part of the device an access goes to (SPEC 3.2, 4), one access of both BARs at a time.
//
// Each part is shown the access until it is done with it; its offset stands there a cycle earlier, so that what a register
// reads may be fetched. Where no register is, a read gives 0 and a write is ignored (SPEC
// 2); so it is everywhere but at STATUS while the device does not work (SPEC 9.2).
module bmu_decode #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned PORTALS = 0
) (
    input  logic        aclk,
    input  logic        aresetn,
    input  logic        works,

    input  logic        control_valid,   // BAR 0
    input  logic        control_write,
    input  logic [15:0] control_offset,
    input  logic [31:0] control_data,
    output logic        control_done,
    input  logic        operation_valid, // BAR 2
    input  logic        operation_write,
    input  logic [18:0] operation_offset,
    input  logic [31:0] operation_data,
    output logic        operation_done,
    output logic [31:0] answer,

    output logic        write,           // the access, for all parts
    output logic [11:0] offset,          // in a page of BAR 2, or the lowest bits of one in BAR 0
    output logic [5:0]  number,          // of the pool or the portal
    output logic        page,            // BAR 2
    output logic [31:0] data,
    output logic        device_valid,    // which part it is for
    output logic        errors_valid,
    output logic        irq_valid,
    output logic        pool_valid,
    output logic        portal_valid,
    input  logic        errors_done,
    input  logic        irq_done,
    input  logic        pool_done,
    input  logic        portal_done,
    input  logic [31:0] device_answer,
    input  logic [31:0] errors_answer,
    input  logic [31:0] irq_answer,
    input  logic [31:0] pool_answer,
    input  logic [31:0] portal_answer
);
    localparam logic [5:0] STATUS = 6'h11; // the word's number in the page of the device

    localparam logic [63:0] POOLS_THERE   = 64'((65'd1 << POOLS) - 1);
    localparam logic [63:0] PORTALS_THERE = 64'((65'd1 << PORTALS) - 1);

    // A bit for each part, or none.
    localparam logic [4:0] NONE = 5'd0, DEVICE = 5'd1, ERRORS = 5'd2, IRQ = 5'd4, POOL = 5'd8, PORTAL = 5'd16;

    logic        looks, active, answers, tells;
    logic [15:6] place;  // the rest of an offset in BAR 0, or in BAR 2 which kind of page
    logic [4:0]  part, found;
    logic        ever, done; // STATUS may be read, whatever happens
    logic [31:0] given;

    // SPEC 3.2, 4: what is where.
    wire pool_exists   = POOLS_THERE[number];
    wire portal_exists = PORTALS_THERE[number];
    always_comb begin
        found = NONE;
        if (page) begin
            if (place[15]) found = portal_exists ? PORTAL : NONE;
            else found = pool_exists ? POOL : NONE;
        end else begin
            case (place[15:14])
                2'b00:
                    case (place[13:6])
                        8'h00, 8'h01: found = DEVICE;
                        8'h02, 8'h03: found = ERRORS;
                        8'h04:        found = IRQ;
                        default:      found = NONE;
                    endcase
                2'b01:   found = pool_exists ? POOL : NONE;
                2'b10:   found = portal_exists ? PORTAL : NONE;
                default: found = NONE;
            endcase
        end
    end

    wire is_open = works | ever;
    wire [4:0] goes = active & is_open ? part : NONE;
    assign {portal_valid, pool_valid, irq_valid, errors_valid, device_valid} = goes;

    wire waits = part[1] & ~errors_done | part[2] & ~irq_done | part[3] & ~pool_done | part[4] & ~portal_done;
    assign done  = ~is_open | ~waits;
    assign given = ({32{goes[0]}} & device_answer) | ({32{goes[1]}} & errors_answer) | ({32{goes[2]}} & irq_answer)
                 | ({32{goes[3]}} & pool_answer) | ({32{goes[4]}} & portal_answer);

    assign control_done   = answers & ~tells;
    assign operation_done = answers & tells;

    // Neither BAR is taken twice while the other waits.
    wire takes_operation = operation_valid & ~(control_valid & tells);
    wire starts = ~looks & ~active & ~answers & (control_valid | operation_valid);

    always_ff @(posedge aclk) begin
        if (~aresetn) begin
            looks   <= 1'b0;
            active  <= 1'b0;
            answers <= 1'b0;
            tells   <= 1'b0;
        end else begin
            answers <= active & done;
            active  <= looks | (active & ~done);
            looks   <= starts;
            if (starts) tells <= takes_operation;
        end
    end

    always_ff @(posedge aclk) begin
        if (active & done) answer <= given;
        if (looks) {part, ever} <= {found, found == DEVICE & offset[7:2] == STATUS & ~write};
        if (starts & takes_operation) begin
            page   <= 1'b1;
            write  <= operation_write;
            data   <= operation_data;
            offset <= operation_offset[11:0];
            number <= operation_offset[17:12];
            place  <= {operation_offset[18], 9'd0};
        end else if (starts) begin
            page   <= 1'b0;
            write  <= control_write;
            data   <= control_data;
            offset <= {4'd0, control_offset[7:0]};
            number <= control_offset[13:8];
            place  <= control_offset[15:6];
        end
    end
endmodule
