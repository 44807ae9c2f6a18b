/* The bytes of cli/page.html (cli/page.h). */
	.section .rodata
	.globl	page_html
	.globl	page_html_end
page_html:
	.incbin	"cli/page.html"
page_html_end:

	.section .note.GNU-stack,"",%progbits
