defmodule Blanket.Test.Browser do
  @moduledoc """
  A headless Chromium, driven by chromedriver over the WebDriver protocol.

  Texts come back in base64, so that no JSON needs to be read.
  """

  defstruct [:port, :url]

  @doc "Starts a browser, which ends with the calling process. Raises where there is none."
  def start(width \\ 1280, height \\ 900) do
    driver =
      System.find_executable("chromedriver") ||
        raise "chromedriver is missing: bin/test-web installs it, or apt-get install chromium-driver"

    {:ok, _} = Application.ensure_all_started(:inets)

    # It ends when its input does.
    wrapper = "\"$0\" --port=0 & driver=$!; while read -r _; do :; done; kill $driver; wait"

    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        :stderr_to_stdout,
        line: 1000,
        args: ["-c", wrapper, driver]
      ])

    browser = %__MODULE__{port: port, url: "http://127.0.0.1:#{driver_port(port)}/session"}

    # With a pipe between the two, Chromium ends when chromedriver does.
    arguments =
      ~w(--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars) ++
        ["--remote-debugging-pipe", "--window-size=#{width},#{height}"]

    [_, session] =
      Regex.run(
        ~r/"sessionId":"(\w+)"/,
        post(
          browser,
          "",
          ~s({"capabilities":{"alwaysMatch":{"goog:chromeOptions":{"args":[) <>
            Enum.map_join(arguments, ",", &json/1) <> "]}}}}"
        )
      )

    %{browser | url: browser.url <> "/" <> session}
  end

  defp driver_port(port) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        case Regex.run(~r/successfully on port (\d+)/, line) do
          [_, number] -> number
          nil -> driver_port(port)
        end
    after
      60_000 -> raise "chromedriver does not start"
    end
  end

  def stop(browser) do
    {:ok, _} = :httpc.request(:delete, {String.to_charlist(browser.url), []}, [], [])
    Port.close(browser.port)
    :ok
  end

  def open(browser, url), do: post(browser, "/url", ~s({"url":#{json(url)}})) && browser

  @doc "Runs JavaScript, and answers what it returns, as a string."
  def run(browser, script) do
    script =
      "const result = (() => {#{script}})(); " <>
        "return btoa(String.fromCharCode(...new TextEncoder().encode(String(result))));"

    value(post(browser, "/execute/sync", ~s({"script":#{json(script)},"args":[]})))
  end

  @doc "The text that is shown in the first element that a CSS selector finds."
  def text(browser, selector \\ "body"),
    do: run(browser, "return document.querySelector(#{json(selector)}).innerText")

  @doc "Waits until JavaScript returns true."
  def await(browser, condition) do
    unless run(browser, "return #{condition}") == "true", do: await(browser, condition)
  end

  @doc "Presses keys, one after the other, on what has the focus."
  def press(browser, keys) do
    actions =
      Enum.map_join(keys, ",", fn key ->
        ~s({"type":"keyDown","value":#{json(key)}},{"type":"keyUp","value":#{json(key)}})
      end)

    post(browser, "/actions", ~s({"actions":[{"type":"key","id":"keys","actions":[#{actions}]}]}))
    browser
  end

  @doc "Shows the page to those who prefer `:light` or `:dark`, in a window of this size."
  def look(browser, theme, width, height) do
    cdp(
      browser,
      "Emulation.setEmulatedMedia",
      ~s({"features":[{"name":"prefers-color-scheme","value":"#{theme}"}]})
    )

    cdp(
      browser,
      "Emulation.setDeviceMetricsOverride",
      ~s({"width":#{width},"height":#{height},"deviceScaleFactor":1,"mobile":false})
    )
  end

  defp cdp(browser, command, parameters) do
    post(browser, "/goog/cdp/execute", ~s({"cmd":"#{command}","params":#{parameters}}))
    browser
  end

  @doc "A picture of the window, as PNG."
  def screenshot(browser) do
    {:ok, {{_, 200, _}, _, body}} =
      :httpc.request(:get, {String.to_charlist(browser.url <> "/screenshot"), []}, [],
        body_format: :binary
      )

    value(body)
  end

  defp value(answer) do
    [_, base64] = Regex.run(~r/"value":"([^"]*)"/, answer)
    Base.decode64!(base64)
  end

  defp post(browser, path, body) do
    request = {String.to_charlist(browser.url <> path), [], ~c"application/json", body}

    case :httpc.request(:post, request, [timeout: 120_000], body_format: :binary) do
      {:ok, {{_, 200, _}, _, answer}} -> answer
      {:ok, {_, _, answer}} -> raise "WebDriver: #{answer}"
    end
  end

  defp json(text) do
    escaped =
      for <<char::utf8 <- text>>, into: "" do
        if char in [?", ?\\] or char < 32 or char > 126,
          do: "\\u" <> (char |> Integer.to_string(16) |> String.pad_leading(4, "0")),
          else: <<char>>
      end

    ~s("#{escaped}")
  end
end
