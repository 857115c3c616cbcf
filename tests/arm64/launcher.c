/* Stands where a program of the arm64 root was: runs that program, now named PROGRAM.arm64, under
 * the root's own qemu, always as a Cortex-A72 (the default "max" gives wrong int8 results).
 *
 * A static program of the host: so the kernel starts arm64 Python wherever a test starts one, and
 * nothing has to be registered with the kernel (binfmt_misc).
 *
 * cc -static -O2 -o python3.X launcher.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 7);
    char **line = calloc((size_t)count + 7, sizeof *line);
    if (length < 0 || !line) return 127;
    program[length] = 0;
    int n = 0;
    line[n++] = "/edge/qemu";
    line[n++] = "-cpu";
    line[n++] = "cortex-a72";
    line[n++] = "-0";
    line[n++] = program;
    char real[4096 + 8];
    snprintf(real, sizeof real, "%s.arm64", program);
    line[n++] = real;
    for (int i = 1; i < count; i++) line[n++] = arguments[i];
    execv(line[0], line);
    return 127;
}
