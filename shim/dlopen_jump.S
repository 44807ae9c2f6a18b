/* dlopen(file, mode): see dlopen.h.  Registers in: %rdi file, %esi mode. */
#if defined(__x86_64__)

#if defined(__CET__)
#include <cet.h>
#else
#define _CET_ENDBR
#endif

	.text
	.globl	dlopen
	.type	dlopen, @function
	.p2align 4
dlopen:
	.cfi_startproc
	_CET_ENDBR
	pushq	%rdi
	.cfi_adjust_cfa_offset 8
	subq	$16, %rsp
	.cfi_adjust_cfa_offset 16
	movl	%esi, %edi
	call	shim_dlopen_mode
	addq	$16, %rsp
	.cfi_adjust_cfa_offset -16
	popq	%rdi
	.cfi_adjust_cfa_offset -8
	movl	%eax, %esi
	jmp	*shim_dlopen_next(%rip)
	.cfi_endproc
	.size	dlopen, .-dlopen

#elif defined(__aarch64__)

	.text
	.globl	dlopen
	.type	dlopen, %function
	.p2align 4
dlopen:
	.cfi_startproc
	stp	x29, x30, [sp, #-32]!
	.cfi_def_cfa_offset 32
	.cfi_offset 29, -32
	.cfi_offset 30, -24
	str	x0, [sp, #16]
	mov	w0, w1
	bl	shim_dlopen_mode
	mov	w1, w0
	ldr	x0, [sp, #16]
	ldp	x29, x30, [sp], #32
	.cfi_restore 29
	.cfi_restore 30
	.cfi_def_cfa_offset 0
	adrp	x16, shim_dlopen_next
	ldr	x16, [x16, :lo12:shim_dlopen_next]
	br	x16
	.cfi_endproc
	.size	dlopen, .-dlopen

#else
#error "dlopen() is not written for this processor: see shim/dlopen.h"
#endif

	.section .note.GNU-stack, "", %progbits
