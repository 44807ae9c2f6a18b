/* The bytes of cli/page.html (cli/page.h). */
	.section .rodata
	.globl	page_html
	.globl	page_html_bytes
page_html:
	.incbin	"cli/page.html"
.Lend:
	.balign	8
page_html_bytes:
	.quad	.Lend - page_html

	.section .note.GNU-stack,"",%progbits
