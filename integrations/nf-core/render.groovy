// Evaluate the blocks of a module's process as Nextflow does, in Groovy, the language that they are written in.
// groovy render.groovy MAIN_NF < bindings.json > rendered.json: the container, the command of `script:`, that of `stub:`.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.Phases

def bindings = new JsonSlurper().parse(System.in)
// Lines may break within ${ } of a string in Nextflow's Groovy, but not in Groovy before version 3.
def text = new File(args[0]).text.replaceAll(/([?:])\n\s+'/, /$1 '/)
// The whole file is Groovy too: this stops at a syntax error anywhere in it.
def whole = new CompilationUnit()
whole.addSource('main.nf', text)
whole.compile(Phases.CONVERSION)

// A block goes from its label to the next label, or to the brace that closes the process.
def block = { name -> (text =~ /(?ms)^ {4}${name}:\n(.*?)(?=^ {4}\w+:\n|^\})/)[0][1] }
// A directive goes from its name to the blank line that follows.
def directive = { name -> (text =~ /(?ms)^ {4}${name} (.*?)\n\n/)[0][1] }
def evaluated = { code -> new GroovyShell(new Binding(new LinkedHashMap(bindings))).evaluate(code).toString().stripIndent() }

println JsonOutput.toJson([
    container: evaluated(directive('container')),
    script: evaluated(block('script')),
    stub: evaluated(block('stub')),
])
