// The decoder: for any accesses at both BARs, and parts that take as long as they like. Read by yosys alone.
//
// Each access goes to the one part that SPEC 3.2 and 4 have at its address, or to none, is answered once, with what that part
// said, and reads 0 where there is none and while the device does not work (SPEC 2, 9.2).
module bmu_decode_proof #(
    parameter int unsigned POOLS = 3,
    parameter int unsigned PORTALS = 2
) (
    input logic        aclk, aresetn, works,
    input logic        control_valid, control_write, operation_valid, operation_write,
    input logic [15:0] control_offset,
    input logic [18:0] operation_offset,
    input logic [31:0] control_data, operation_data, device_answer, errors_answer, irq_answer, pool_answer, portal_answer,
    input logic        errors_done, irq_done, pool_done, portal_done
);
    logic        control_done, operation_done, write, page, device_valid, errors_valid, irq_valid, pool_valid, portal_valid;
    logic [31:0] answer, data;
    logic [11:0] offset;
    logic [5:0]  number;

    bmu_decode #(.POOLS(POOLS), .PORTALS(PORTALS)) decode (
        .aclk, .aresetn, .works, .control_valid, .control_write, .control_offset, .control_data, .control_done,
        .operation_valid, .operation_write, .operation_offset, .operation_data, .operation_done, .answer,
        .write, .offset, .number, .page, .data, .device_valid, .errors_valid, .irq_valid, .pool_valid, .portal_valid,
        .errors_done, .irq_done, .pool_done, .portal_done, .device_answer, .errors_answer, .irq_answer, .pool_answer, .portal_answer
    );
    (* hierconn *) logic \decode.looks , \decode.active , \decode.answers , \decode.tells ;
    (* hierconn *) logic [15:6] \decode.place ;
    (* hierconn *) logic [4:0]  \decode.part ;
    (* hierconn *) logic        \decode.ever ;

    // A reset comes first; a port holds its access until it is done (bmu_port), and has only whole words.
    logic began = 1'b0, control_held = 1'b0, operation_held = 1'b0;
    logic [48:0] was_control;
    logic [51:0] was_operation;
    always_ff @(posedge aclk) begin
        began <= 1'b1;
        control_held   <= aresetn & control_valid & ~control_done;
        operation_held <= aresetn & operation_valid & ~operation_done;
        was_control    <= {control_write, control_offset, control_data};
        was_operation  <= {operation_write, operation_offset, operation_data};
    end
    always_comb begin
        if (!began) assume (~aresetn);
        if (control_held) assume (control_valid & was_control == {control_write, control_offset, control_data});
        if (operation_held) assume (operation_valid & was_operation == {operation_write, operation_offset, operation_data});
        assume (control_offset[1:0] == 0 & operation_offset[1:0] == 0);
    end

    // ---- what is where, as numbers --------------------------------------------------------------------------------------
    wire of_operation = \decode.tells ; // whose access it is
    wire [31:0] control_at = {16'd0, control_offset}, operation_at = {13'd0, operation_offset};
    logic [4:0] wanted; // portal, pool, vectors, errors, device
    always_comb begin
        wanted = 5'd0;
        if (of_operation) begin
            if (operation_at < POOLS * 32'h1000) wanted = 5'd8;
            if (operation_at >= 32'h40000 & operation_at < 32'h40000 + PORTALS * 32'h1000) wanted = 5'd16;
        end else begin
            if (control_at < 32'h80) wanted = 5'd1;
            if (control_at >= 32'h80 & control_at < 32'h100) wanted = 5'd2;
            if (control_at >= 32'h100 & control_at < 32'h140) wanted = 5'd4;
            if (control_at >= 32'h4000 & control_at < 32'h4000 + POOLS * 32'h100) wanted = 5'd8;
            if (control_at >= 32'h8000 & control_at < 32'h8000 + PORTALS * 32'h100) wanted = 5'd16;
        end
    end
    wire [4:0] shown  = {portal_valid, pool_valid, irq_valid, errors_valid, device_valid};
    wire       status = ~of_operation & control_at == 32'h44 & ~control_write;
    wire [4:0] done   = {portal_done, pool_done, irq_done, errors_done, 1'b1};
    wire       ends   = \decode.active & (shown == 0 | |(shown & done));
    logic        ended = 1'b0;
    logic [31:0] said;
    always_ff @(posedge aclk) begin
        ended <= aresetn & ends;
        said  <= shown[0] ? device_answer : shown[1] ? errors_answer : shown[2] ? irq_answer : shown[3] ? pool_answer
               : shown[4] ? portal_answer : 32'd0;
    end

    always_ff @(posedge aclk) if (began) begin
        one_part:     assert ((shown & (shown - 1)) == 0);
        right_part:   assert (shown == (\decode.active & (works | status) ? wanted : 5'd0));
        as_it_came:   assert (~(\decode.looks | \decode.active ) | (of_operation
            ? operation_valid & page & write == operation_write & data == operation_data & offset == operation_offset[11:0]
              & number == operation_offset[17:12]
            : control_valid & ~page & write == control_write & data == control_data & offset == {4'd0, control_offset[7:0]}
              & number == control_offset[13:8]));
        answered_once: assert ((control_done | operation_done) == ended & ~(control_done & operation_done));
        to_who_asked: assert (~ended | (of_operation ? operation_done & operation_valid : control_done & control_valid));
        as_was_said:  assert (~ended | answer == said);
        // For the induction.
        one_step:  assert (3'(\decode.looks ) + 3'(\decode.active ) + 3'(\decode.answers ) <= 1);
        place_is:  assert (~\decode.looks | \decode.place == (of_operation ? {operation_offset[18], 9'd0} : control_offset[15:6]));
        part_is:   assert (~\decode.active | (\decode.part == wanted & \decode.ever == status));
        asks:      assert (~\decode.answers | (of_operation ? operation_valid : control_valid));
    end
endmodule
