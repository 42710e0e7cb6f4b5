/* What has to happen before main() on a bare Cortex-M4; printing goes through semihosting, to a debugger or emulator. */
#include <stdlib.h>

extern unsigned long stack_top;
extern unsigned char data_start, data_end, data_load, bss_start, bss_end;
int main(void);
void initialise_monitor_handles(void);

/* newlib asks for these two; there is nothing to set up or tear down. */
void _init(void) {}
void _fini(void) {}

void reset(void) {
    *(volatile unsigned long *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit on */
    for (unsigned char *p = &data_start, *q = &data_load; p < &data_end;) *p++ = *q++;
    for (unsigned char *p = &bss_start; p < &bss_end;) *p++ = 0;
    initialise_monitor_handles();
    exit(main());
}

__attribute__((section(".vectors"), used)) static void *const vectors[] = {&stack_top, (void *)reset};
