/* A plugin of qemu's user mode: counts guest instructions between marks.
 *
 * A mark is a write(2) to file descriptor 1001, which no guest has open, of as many bytes as the
 * mark's number: the guest sees EBADF and nothing else happens. Each mark prints
 *     mark NUMBER INSTRUCTIONS-SINCE-THE-LAST
 * on stderr. Exact for one guest thread.
 *
 * Declares what it uses of qemu's plugin API 1 (qemu 4.2 to 8): no header of qemu's is needed.
 * cc -shared -fPIC -O2 -o icount.so icount.c
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t, uint64_t));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
enum { ADD = 0, WRITE = 64, MARK = 1001 };
static uint64_t executed, marked;

static void on_block(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t fd, uint64_t text,
                       uint64_t length, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)cpu, (void)text, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != WRITE || (int)fd != MARK) return;
    char line[64];
    int size = snprintf(line, sizeof line, "mark %" PRIu64 " %" PRIu64 "\n", length, executed - marked);
    if (write(2, line, (size_t)size) < 0) return;
    marked = executed;
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int count,
                                                               char **arguments)
{
    (void)info, (void)count, (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
